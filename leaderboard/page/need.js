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

const needText = (need) => (["chance", "small"].includes(need.state) ? "none" : need.text);

function needTable(shown) {
  const heads = shown.map((task) =>
    element("th", { scope: "col", class: "n" }, element("a", { href: `#task-${task.index}` }, ...breakable(task.title))),
  );
  const found = shown.map((task) => needRows(task, task.most.listed));
  const rows = page.series.flatMap((name) => {
    const own = found.map((some) => some.find((row) => row.series === name));
    const known = own.find(Boolean);
    if (!known) return [];
    const cells = own.map((row) => element("td", { class: "n" }, row ? needText(row.need) : ""));
    return [element("tr", {}, element("th", { scope: "row", title: name }, swatch(known.style), name), ...cells)];
  });
  const enough = shown.map((task) => element("td", { class: "n" }, needText(task.need)));
  return tableOf(
    ["k*(1\u00a0%), in inputs. “none”: never better than chance, or gain below 1\u00a0%; “>”: larger than every k measured."],
    [element("tr", {}, element("th", { scope: "col" }, "model"), ...heads)],
    rows,
    [element("tr", {}, element("th", { scope: "row" }, "best of all"), ...enough)],
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
