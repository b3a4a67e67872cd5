// How much context each model uses on each task: a table, and a small chart for each task.

const NONE = 0.45; // where "never better than chance" stands, left of k = 1
const OPEN = 1.6; // "> largest" stands so many times further right than the largest k

/** The rows of a task whose need is shown, in one order for all tasks. */
function needRows(task, most) {
  const place = (row) => page.series.indexOf(row.series);
  const rows = shownRows(task).slice(0, most).map((row) => [place(row), row]);
  return rows.sort(([a], [b]) => a - b).map(([, row]) => row);
}

/** Let a long name break after its slash. */
const breakable = (name) =>
  name.split(/(?<=\/)/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));

const needText = (need) => (need.state === "chance" ? "none" : need.text);

function needTable(shown) {
  const names = new Map();
  for (const task of shown) {
    for (const row of needRows(task, task.most.listed)) {
      if (!names.has(row.series)) names.set(row.series, new Map());
      names.get(row.series).set(task.index, row);
    }
  }
  const heads = shown.map((task) =>
    element("th", { scope: "col", class: "n" }, element("a", { href: `#task-${task.index}` }, ...breakable(task.title))),
  );
  const order = (name) => page.series.indexOf(name);
  const listed = [...names].sort(([a], [b]) => order(a) - order(b));
  const rows = listed.map(([name, found]) => {
    const some = [...found.values()][0];
    const cells = shown.map((task) => {
      const row = found.get(task.index);
      const text = row ? needText(row.need) : "";
      return element("td", { class: "n" }, text);
    });
    return element("tr", {}, element("th", { scope: "row", title: name }, swatch(some.style), name), ...cells);
  });
  const enough = shown.map((task) => element("td", { class: "n" }, needText(task.need)));
  return element(
    "table",
    {},
    captioned("k*(1\u00a0%), in inputs. “none”: never better than chance; “>”: no k measured is enough."),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "model"), ...heads)),
    element("tbody", {}, ...rows),
    element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "best of all"), ...enough)),
  );
}

function needMarks(task, rows, largest) {
  const marks = [];
  const ranges = [];
  const open = largest * OPEN;
  for (const row of rows) {
    const { state, k, low, high, text } = row.need;
    const name = row.series;
    const colour = "var(--accent)";
    const filled = { name, text, colour, fill: colour };
    const triangle = { ...filled, x: open, shape: "triangle-right" };
    if (state === "chance") {
      const red = "var(--warn)";
      marks.push({ name, text, x: NONE, shape: "circle", colour: red, fill: "transparent" });
    } else if (state === "beyond") {
      marks.push(triangle);
      if (low !== null) ranges.push({ name, x: low, end: open, colour });
    } else if (state === "reached") {
      marks.push({ ...filled, x: k, shape: "circle" });
      if (high === null) marks.push(triangle);
      ranges.push({ name, x: low ?? k, end: high ?? open, colour });
    }
  }
  return { marks, ranges };
}

async function drawNeed(task) {
  const figure = document.querySelector(`figure.need[data-task="${task.index}"]`);
  const plot = figure.querySelector(".plot");
  const rows = needRows(task, task.most.drawn).filter((row) => row.need.state !== "unknown");
  const largest = Math.max(1, ...task.contexts.filter((k) => k !== "full"));
  const ticks = [NONE, 1, 4, 16, 64, 256, 1024, 4096, 16384].filter((k) => k <= largest);
  const specification = withAxis(
    page.charts.need,
    [NONE / 1.4, largest * OPEN * 1.4],
    ticks,
    `datum.value == ${NONE} ? 'none' : format(datum.value, '~d')`,
  );
  for (const { encoding } of specification.layer) {
    if (encoding.y) encoding.y.scale = { domain: rows.map((row) => row.series) };
  }
  specification.height = Math.max(rows.length, 1) * 18;
  // Its height depends on the rows: it is drawn anew, not changed.
  (await views.get(plot))?.finalize();
  views.delete(plot);
  specification.datasets = {
    ...needMarks(task, rows, largest),
    enough: task.need.state === "reached" ? [{ x: task.need.k }] : [],
  };
  await embedded(plot, specification);
  figure.dataset.drawn = rows.length;
}
