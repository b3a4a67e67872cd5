// One model trained with each k_train and scored at each k: a table whose colours say the loss.

const STATES = { carried: "state carried", reset: "state reset before each window" };

// Cividis (Nuñez, Anderton & Renslow 2018), at nine even steps: read the same without colour.
const CIVIDIS = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
  [138, 134, 120], [166, 157, 117], [197, 181, 106], [228, 207, 91],
]; // prettier-ignore

/** A colour between two ends, 0 to 1, and the ink that is read on it. */
function tint(at) {
  const place = Math.min(Math.max(at, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mixed = CIVIDIS[low].map((v, i) => v + (place - low) * (CIVIDIS[low + 1][i] - v));
  // Where white and black are read equally well on these colours, at 4.6 to 1.
  const ink = place / (CIVIDIS.length - 1) < 0.525 ? "#fff" : "#000";
  return `background:rgb(${mixed.map(Math.round).join(" ")});color:${ink}`;
}

/** Three or four digits: more do not fit. */
function brief(value) {
  if (value === null) return "∞";
  const text = Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4).slice(0, 6);
  return text.replace("-", "−");
}

/** Rows of one model and budget, for each state, where it was trained with several k_train. */
function matrixGroups(task) {
  const groups = new Map();
  for (const row of task.rows) {
    if (chosen.models.has(row.label) || (chosen.budget && row.budget !== chosen.budget)) continue;
    const key = JSON.stringify([row.label, row.budget]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].filter((rows) => new Set(rows.map((row) => row.kTrain)).size > 1);
}

function makeMatrices(task) {
  const groups = matrixGroups(task);
  if (!groups.length) return [];
  const made = element(
    "details",
    { class: "heat" },
    element("summary", {}, `Trained at k: k_train × k for ${count(groups.length, "model")}`),
  );
  // Made when it is opened: with many models there are many.
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) {
      made.append(element("div", { class: "heats" }, ...groups.flatMap((rows) => heats(task, rows))));
    }
  });
  made.open = groups.length <= 4;
  return [made];
}

/** One table for each way in which state was trained, with the same colours. */
function heats(task, rows) {
  const states = [...new Set(rows.map((row) => row.state))].sort();
  return states.map((state) => heat(task, rows.filter((row) => row.state === state), rows));
}

function heatRow(task, row, place) {
  const cells = row.cells.map((cell, at) => {
    if (!cell) return element("td", { class: "n none" }, "–");
    const where = `${row.label} trained with ${row.trainedAt}, ${contextName(task.contexts[at])}`;
    const button = element(
      "button",
      {
        type: "button",
        tabindex: -1,
        class: "number",
        "data-column": at,
        "aria-label": `${where}: ${decimal(cell[0])}; where it comes from`,
        onclick: () => openProvenance(task, row, at),
      },
      brief(cell[0]),
    );
    const style = cell[0] === null ? "" : tint(place(cell[0]));
    const same = task.contexts[at] === row.kTrain;
    return element("td", { class: same ? "n same" : "n", style }, button);
  });
  return element("tr", {}, element("th", { scope: "row", class: "n" }, String(row.kTrain)), ...cells);
}

/** Colour the losses of rows that differ in k_train alone; `all` give the ends of the colours. */
function heat(task, rows, all) {
  const scale = task.score === "perplexity" ? Math.log : (v) => v;
  const values = all.flatMap((row) => row.cells.filter((cell) => cell && cell[0] !== null));
  const ends = values.map((cell) => scale(cell[0]));
  const low = Math.min(...ends);
  const high = Math.max(...ends, low + 1e-12);
  const name = `${rows[0].label}, ${rows[0].budget} budget, ${STATES[rows[0].state] ?? "no state"}`;
  const heads = task.contexts.map((k) => element("th", { scope: "col", class: "n" }, String(k)));
  const lines = [...rows].sort((a, b) => asNumber(a.kTrain) - asNumber(b.kTrain));
  const table = element(
    "table",
    { class: "heat" },
    captioned(name),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "k_train \\ k"), ...heads)),
    element("tbody", {}, ...lines.map((row) => heatRow(task, row, (v) => (scale(v) - low) / (high - low)))),
  );
  table.querySelector("button.number")?.setAttribute("tabindex", "0");
  table.addEventListener("keydown", (event) => moveAmongNumbers(table, event));
  return element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": name }, table);
}
