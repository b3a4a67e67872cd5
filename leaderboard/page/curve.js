// The curves of a task: the rows of its table, as filtered and sorted, drawn by Vega.

const BEYOND = 3; // full stands so many times further right than the largest k
const views = new Map(); // of drawings, by their elements

const OPTIONS = {
  actions: false,
  ast: true, // expressions are interpreted: the page's policy lets no text become code
  renderer: "svg",
  defaultStyle: false,
  tooltip: { theme: "custom", disableDefaultStyle: true },
  logLevel: 1, // errors: that a chart without rows has no extent is none
};

/** Embed a chart, or give the one that is there. */
async function embedded(place, specification) {
  if (!views.has(place)) {
    // Vega gives what it draws in a role and a name of its own: those of the place are to stay.
    const inner = element("div", { class: "inner", "aria-hidden": "true" });
    place.replaceChildren(inner);
    views.set(
      place,
      window.vegaEmbed(inner, specification, OPTIONS).then((result) => result.view),
    );
  }
  return views.get(place);
}

/** Choose ticks that do not run into each other: a factor of 1.25 apart, the largest kept. */
function ticksOf(ks) {
  const kept = [];
  for (const k of [...ks].sort((a, b) => b - a)) {
    if (!kept.length || kept[kept.length - 1] / k > 1.25) kept.push(k);
  }
  const step = Math.max(Math.ceil(kept.length / 12), 1);
  return kept.filter((_, i) => i % step === 0).reverse();
}

function placesOf(task) {
  const finite = task.contexts.filter((k) => k !== "full");
  const full = BEYOND * Math.max(1, ...finite);
  const span = [Math.min(...(finite.length ? finite : [1])) / 1.15, full * Math.sqrt(BEYOND)];
  return { finite, full, span, gap: full / Math.sqrt(BEYOND) };
}

/** Copy a chart's specification and set the axis of k in all its layers. */
function withAxis(specification, domain, values, labels) {
  const made = structuredClone(specification);
  for (const layer of made.layer) {
    const { x } = layer.encoding;
    x.scale = { ...x.scale, domain };
    x.axis = { ...x.axis, values, labelExpr: labels };
  }
  return made;
}

/** Choose the ends of the scale: what is far worse than chance must not flatten the rest. */
function frameOf(task, rows) {
  const log = task.score === "perplexity";
  const scale = log ? Math.log : (v) => v;
  const back = log ? Math.exp : (v) => v;
  const cells = rows.flatMap((row) => row.cells).filter((cell) => cell && cell[0] !== null);
  const optima = task.optimum.filter((value) => value !== null && (value > 0 || !log));
  const known = cells.map((cell) => scale(cell[0]));
  const chance = scale(task.chance);
  const low = Math.min(chance, ...known, ...optima.map(scale));
  const high = Math.max(chance, ...known);
  const gain = chance - low || Math.abs(chance) || 1;
  const top = Math.min(high, chance + gain / 3);
  const room = 0.06 * (top - low || gain);
  return { low: back(low - room), high: back(top + room), cut: high > top };
}

/** The points of rows; at full, models stand side by side, so that intervals can be told apart. */
function scoresOf(task, rows, { full }) {
  const points = [];
  rows.forEach((row, i) => {
    const aside = full * BEYOND ** (0.7 * ((i + 0.5) / rows.length - 0.5));
    const [colour, dash, shape] = row.style;
    row.cells.forEach((cell, at) => {
      if (!cell || cell[0] === null) return;
      const k = task.contexts[at];
      const [value, half, , , seeds] = cell;
      const least = half === null ? null : value - half;
      points.push({
        x: k === "full" ? aside : k,
        full: k === "full",
        score: value,
        least: task.score === "perplexity" && least <= 0 ? value : least,
        most: half === null ? null : value + half,
        row: row.index,
        at,
        colour: ink(colour),
        dash,
        shape,
        name: row.series,
        k: String(k),
        text: withHalf(value, half),
        seeds: String(seeds),
      });
    });
  });
  return points;
}

function levelsOf(task, { full, span }) {
  const found = span.map((x) => ({ name: "chance", x, score: task.chance, dash: [2, 3] }));
  const wide = [full / BEYOND ** 0.35, full * BEYOND ** 0.35];
  task.optimum.forEach((score, at) => {
    if (score === null) return;
    const k = task.contexts[at];
    const dash = [7, 3];
    if (k !== "full") found.push({ name: "optimum", x: k, score, dash });
    else wide.forEach((x) => found.push({ name: "optimum at full", x, score, dash }));
  });
  return found;
}

const bestOf = (task, { full }) =>
  task.envelope.flatMap((best, at) => {
    if (!best || best[0] === null) return [];
    const k = task.contexts[at];
    return [{ x: k === "full" ? full : k, full: k === "full", score: best[0] }];
  });

async function drawCurves(task, rows) {
  const figure = sectionOf(task).querySelector("figure.curves");
  const drawn = rows.slice(0, task.most.drawn);
  const places = placesOf(task);
  const specification = withAxis(
    page.charts[task.score],
    places.span,
    [...ticksOf(places.finite), places.full],
    `datum.value == ${places.full} ? 'full' : format(datum.value, '~d')`,
  );
  const frame = frameOf(task, drawn);
  legend(task, figure, drawn, rows, frame);
  const plot = figure.querySelector(".plot");
  specification.datasets = {
    gap: [{ x: places.gap }],
    chosen: task.contexts.includes(chosen.at)
      ? [{ x: chosen.at === "full" ? places.full : chosen.at }]
      : [],
    levels: levelsOf(task, places),
    envelope: bestOf(task, places),
    scores: scoresOf(task, drawn, places),
  };
  const fresh = !views.has(plot);
  const view = await embedded(plot, specification);
  if (fresh) {
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.at !== undefined) {
        openProvenance(task, task.rows[item.datum.row], item.datum.at);
      }
    });
  }
  for (const [name, values] of Object.entries(specification.datasets)) view.data(name, values);
  view.signal("low", frame.low).signal("high", frame.high);
  view.signal("band", drawn.length <= 4 ? 0.16 : 0.09);
  await view.runAsync();
  figure.dataset.drawn = drawn.length;
}

/** Let one row's line stand out; −1: all of them. */
async function focusOn(task, row) {
  const view = await views.get(sectionOf(task).querySelector("figure.curves .plot"));
  if (view) view.signal("focus", row).runAsync();
  for (const line of sectionOf(task).querySelectorAll("[data-row]")) {
    if (line.matches("tr, li")) line.classList.toggle("focus", Number(line.dataset.row) === row);
  }
}

function legend(task, figure, drawn, rows, frame) {
  const list = figure.querySelector(".legend");
  const items = drawn.map((row) =>
    element("li", { "data-row": row.index }, swatch(row.style), element("span", {}, row.series)),
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
  const notes = ["Band: 95 % interval over data of the same kind."];
  if (frame.cut) notes.push("What lies above the frame is not drawn.");
  const caption = figure.querySelector("figcaption");
  caption.replaceChildren(notes.join(" "));
  if (rows.length > 6) {
    const most = element("select", {
      "aria-label": "Lines drawn",
      onchange: (event) => {
        task.most.drawn = Number(event.target.value);
        showTask(task);
      },
    });
    for (const n of [6, 12, 24, 60]) {
      most.append(element("option", { value: n, selected: n === task.most.drawn }, String(n)));
    }
    caption.append(" Drawn: the first ", most, ` of ${count(rows.length, "row")} of the table, as sorted.`);
  }
}
