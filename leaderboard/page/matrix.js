// One model trained with each k_train and scored at each k: a table coloured by the loss.

/** The style of a cell: the colour at a place between 0 and 1, and a text colour to read on it. */
function tint(at) {
  const { colours, dark } = page.heat;
  const place = Math.min(Math.max(at, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(place), colours.length - 2);
  const mixed = `${colours[low + 1]} ${(100 * (place - low)).toFixed(2)}%, ${colours[low]}`;
  const text = place / (colours.length - 1) < dark ? "#fff" : "#000";
  return `background:color-mix(in srgb, ${mixed});color:${text}`;
}

/** Three or four digits: more do not fit. */
function brief(value) {
  if (value === null) return "∞";
  const text = Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4).slice(0, 6);
  return text.replace("-", "−");
}

/** The rows of each model and budget that was trained with several k_train. */
function matrixGroups(task) {
  const groups = Object.groupBy(task.rows.filter((row) => isChosen(row) && isFound(row.words)), (row) => JSON.stringify([row.label, row.budget]));
  return Object.values(groups).filter((rows) => new Set(rows.map((row) => row.kTrain)).size > 1);
}

function makeMatrices(task) {
  const groups = matrixGroups(task);
  if (!groups.length) return [];
  const made = element(
    "details",
    { class: "heat" },
    element("summary", {}, `Trained at k: k_train × k for ${count(groups.length, "model")}`),
  );
  // Built when it is opened: with many models there are many.
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) {
      made.append(element("div", { class: "heats" }, ...groups.flatMap((rows) => heats(task, rows))));
    }
  });
  made.open = groups.length <= 4;
  return [made];
}

/** One table for each way of training the state, all with the same colours. */
function heats(task, rows) {
  const states = [...new Set(rows.map((row) => row.state))].toSorted();
  return states.map((state) => heat(task, rows.filter((row) => row.state === state), rows));
}

function heatRow(task, row, place) {
  const cells = row.cells.map((cell, at) => {
    if (!cell) return element("td", { class: "n none" }, "–");
    const where = `${row.label} trained with ${row.trainedAt}, ${contextName(task.contexts[at])}`;
    const button = numberButton(task, row, at, `${where}: ${decimal(cell[0])}`, brief(cell[0]));
    const style = cell[0] === null ? "" : tint(place(cell[0]));
    const same = task.contexts[at] === row.kTrain;
    return element("td", { class: same ? "n same" : "n", style }, button);
  });
  return element("tr", {}, element("th", { scope: "row", class: "n" }, String(row.kTrain)), ...cells);
}

/** A table of rows that differ in k_train alone; the losses of `all` set the ends of the colours. */
function heat(task, rows, all) {
  const scale = task.score === "perplexity" ? Math.log : (v) => v;
  const values = all.flatMap((row) => row.cells.filter((cell) => cell && cell[0] !== null));
  const ends = values.map((cell) => scale(cell[0]));
  const low = Math.min(...ends);
  const high = Math.max(...ends, low + 1e-12);
  const name = `${rows[0].label}, ${rows[0].budget} budget, ${page.heat.states[rows[0].state]}`;
  const heads = task.contexts.map((k) => element("th", { scope: "col", class: "n" }, String(k)));
  const lines = rows.toSorted((a, b) => asNumber(a.kTrain) - asNumber(b.kTrain));
  const head = element("tr", {}, element("th", { scope: "col" }, "k_train \\ k"), ...heads);
  const body = lines.map((row) => heatRow(task, row, (v) => (scale(v) - low) / (high - low)));
  const table = tableOf([name], [head], body, [], { class: "heat" });
  const box = { class: "scroll", role: "region", tabindex: 0, "aria-label": name };
  return withCues(element("div", box, withArrowKeys(table)));
}
