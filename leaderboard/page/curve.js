// The curves of a task: the rows of its table, as filtered and sorted, drawn by Vega.

const views = new Map(); // of drawings, by their elements

const OPTIONS = {
  actions: false,
  ast: true, // expressions are interpreted: the page's policy forbids code from text
  renderer: "svg",
  defaultStyle: false,
  tooltip: { theme: "custom", disableDefaultStyle: true },
  logLevel: 1, // errors only: a chart without rows has no extent, which is a warning
};

/** Draw a chart with its data sets; update them where the chart is already drawn. */
async function draw(place, specification, datasets) {
  const fresh = !views.has(place);
  if (fresh) {
    // Vega sets a role and a name on its element: those of the place must stay.
    const inner = element("div", { class: "inner", "aria-hidden": "true" });
    place.replaceChildren(inner);
    const result = window.vegaEmbed(inner, { ...specification, datasets }, OPTIONS);
    views.set(place, result.then(({ view }) => view));
  }
  const view = await views.get(place);
  if (!fresh) {
    for (const [name, values] of Object.entries(datasets)) view.data(name, values);
    await view.runAsync();
  }
  return { view, fresh };
}

/** The points of some rows, as the curve chart reads them. */
const scoresOf = (task, rows) =>
  rows.flatMap((row, order) => {
    const [colour, dash, shape] = row.style;
    const same = { row: row.index, order, name: row.series, colour: ink(colour), dash, shape };
    return row.cells.flatMap((cell, at) => {
      if (!cell) return [];
      const [score, half, , , seeds] = cell;
      return [{ ...same, at, k: task.contexts[at], score, half, text: withHalf(score, half), seeds }];
    });
  });

async function drawCurves(task, rows) {
  const figure = sectionOf(task).querySelector("figure.curves");
  const drawn = rows.slice(0, task.most.drawn);
  legend(task, figure, drawn, rows);
  const { view, fresh } = await draw(figure.querySelector(".plot"), task.curveChart, {
    chosen: task.contexts.includes(chosen.at) ? [{ k: chosen.at }] : [],
    scores: scoresOf(task, drawn),
  });
  if (fresh) {
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.at !== undefined) {
        openProvenance(task, task.rows[item.datum.row], item.datum.at);
      }
    });
  }
  figure.dataset.drawn = drawn.length;
}

/** Highlight one row's line; −1: none. */
async function focusOn(task, row) {
  const view = await views.get(sectionOf(task).querySelector("figure.curves .plot"));
  if (view) view.signal("focus", row).runAsync();
  for (const line of sectionOf(task).querySelectorAll("tr[data-row], li[data-row]")) {
    line.classList.toggle("focus", Number(line.dataset.row) === row);
  }
}

function legend(task, figure, drawn, rows) {
  const list = figure.querySelector(".legend");
  const items = drawn.map((row) =>
    element("li", { "data-row": row.index }, swatch(row.style), element("span", {}, nameOf(row))),
  );
  const grey = "#666666";
  const other = (sample, name) => items.push(element("li", { class: "level" }, sample, element("span", {}, name)));
  other(element("span", { class: "swatch halo", "aria-hidden": "true" }), "best of all, ≤ k");
  if (task.optimum.some((value) => value !== null)) other(swatch([grey, [7, 3], ""]), "optimum");
  other(swatch([grey, [2, 3], ""]), "chance");
  if (task.contexts.includes(chosen.at)) {
    const line = element("span", { class: "swatch upright", "aria-hidden": "true" });
    other(line, `compared at ${contextName(chosen.at)}`);
  }
  list.replaceChildren(...items);
  const caption = figure.querySelector("figcaption");
  caption.replaceChildren(task.curveChart.usermeta.notes.join(" "));
  if (rows.length > 6) {
    const most = element("select", {
      "aria-label": "Lines drawn",
      onchange: (event) => {
        task.most.drawn = Number(event.target.value);
        showTask(task);
      },
    });
    for (const n of [...[6, 12, 24].filter((few) => few < rows.length), 60]) {
      const text = n < rows.length ? `the first ${n} of ${rows.length}` : `all ${rows.length}`;
      const now = Math.min(n, rows.length) === drawn.length;
      most.append(element("option", { value: n, selected: now }, text));
    }
    caption.append(" Drawn: ", most, " rows of the table, as sorted.");
  }
}
