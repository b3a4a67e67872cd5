// The context need of each model on each task: a table, and a small chart for each task.

/** The rows of a task that are shown, in the same order for all tasks. */
function needRows(task, most) {
  const place = (row) => page.series.indexOf(row.series);
  const rows = shownRows(task).slice(0, most).map((row) => [place(row), row]);
  return rows.toSorted(([a], [b]) => a - b).map(([, row]) => row);
}

/** A name as children of an element: it may break after a slash. */
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
  const listed = [...names].toSorted(([a], [b]) => order(a) - order(b));
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
    captioned("k*(1\u00a0%), in inputs. “none”: never better than chance; “>”: larger than every k measured."),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "model"), ...heads)),
    element("tbody", {}, ...rows),
    element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "best of all"), ...enough)),
  );
}

async function drawNeed(task) {
  const figure = document.querySelector(`figure.need[data-task="${task.index}"]`);
  const rows = needRows(task, task.most.drawn).filter((row) => row.need.state !== "unknown");
  const needs = rows.map((row, order) => ({ ...row.need, name: row.series, order }));
  const { view } = await draw(figure.querySelector(".plot"), task.needChart, { needs });
  await view.height(task.needChart.height * Math.max(rows.length, 1)).runAsync();
  figure.dataset.drawn = rows.length;
}
