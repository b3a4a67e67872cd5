// The table of a task: sortable; every number opens its source.

/** The columns after the scores: a key, a title, and what a row has there. */
const AFTER = [
  ["budget", "budget", (row) => row.budget],
  ["seeds", "seeds", (row) => row.records.length],
  ["parameters", "parameters", (row) => row.parameters],
  ["floats", "state, floats", (row) => row.floats],
  ["bits", "bits held", ({ bits }) => bits && bits[1]],
  ["bitsPerFloat", "bits/float", ({ bitsPerFloat }) => bitsPerFloat && bitsPerFloat[1]],
  ["trust", "trust", (row) => row.trust],
];

/** What the columns other than scores are sorted by. */
const KEYS = {
  model: (row) => row.label,
  trained: (row) => (row.kTrain === "unknown" ? null : asNumber(row.kTrain)),
  rank: ({ rank }) => rank && rank.best + rank.worst / 1e6,
  need: ({ need }) => ({ reached: need.k, beyond: 1e12, small: 1e13, chance: 1e14 })[need.state] ?? null,
  ...Object.fromEntries(AFTER.map(([key, , read]) => [key, read])),
  bits: ({ bits }) => bits && bits[0],
  bitsPerFloat: ({ bitsPerFloat }) => bitsPerFloat && bitsPerFloat[0],
};

/** Sorted rows; missing values come last in both directions. The board's order breaks ties. */
function sorted(rows, { key, down }) {
  if (key === "best") return rows;
  const keyed = rows.map((row) => [sortKey(row, key), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b, "en") : a - b;
    return down ? -order : order;
  });
  return keyed.map(([, row]) => row);
}

function sortKey(row, key) {
  if (KEYS[key]) return KEYS[key](row);
  const cell = row.cells[Number(key.slice(1))];
  return cell ? (cell[0] ?? Infinity) : null;
}

/** A row's name, marked if the model is the reader's own. */
const nameOf = (row, name = row.series) => (row.own ? `${name} ${row.own}` : name);

/** The columns after the scores in which the rows of this task differ. */
const columnsOf = (task) => AFTER.filter(([, , read]) => new Set(task.rows.map(read)).size > 1);

/** A note of the values that all rows share, whose columns are left out. */
function sharedNote(task, columns) {
  const shared = AFTER.filter((column) => !columns.includes(column));
  const common = shared.map(([, title, read]) => [title, read(task.rows[0])]);
  const known = common.filter(([, value]) => value !== null);
  return known.length ? `All: ${known.map(([title, value]) => `${title} ${plain(value)}`).join(", ")}. ` : "";
}

const isText = (value) => typeof value === "string";

function headCell(task, key, title, numeric, here = false) {
  const { sort } = task;
  const own = sort.key === key || (sort.key === "best" && key === bestKey(task));
  const direction = own ? (sort.down ? "descending" : "ascending") : "none";
  const button = element(
    "button",
    {
      type: "button",
      "data-sort": key,
      "aria-label": key.startsWith("k") ? contextName(task.contexts[key.slice(1)]) : null,
      onclick: () => sortBy(task, key),
    },
    title,
  );
  const kept = [numeric && "n", here && "at"].filter(Boolean).join(" ");
  return element("th", { scope: "col", class: kept || null, "aria-sort": direction }, button);
}

const bestKey = (task) => `k${task.contexts.length - 1}`;

function sortBy(task, key) {
  const own = task.sort.key === "best" ? bestKey(task) : task.sort.key;
  task.sort = { key, down: own === key && !task.sort.down };
  showTask(task);
  sectionOf(task).querySelector(`[data-sort="${key}"]`).focus();
  announce(`${task.title}: sorted in ${task.sort.down ? "descending" : "ascending"} order`);
}

/** The share of the way from chance, 0, to the best score, 1. */
function shareOf(task, value) {
  const least = Math.min(...task.envelope.filter(Boolean).map((best) => best[0] ?? Infinity));
  if (value === null || !(least < task.chance)) return 0;
  const scale = task.score === "perplexity" ? Math.log : (v) => v;
  const share = (scale(task.chance) - scale(value)) / (scale(task.chance) - scale(least));
  return Math.min(Math.max(share, 0), 1);
}

function numberCell(task, row, at, least) {
  const cell = row.cells[at];
  const here = task.contexts[at] === chosen.at ? " at" : "";
  if (!cell) return element("td", { class: `n none${here}` }, "–");
  const [value, half] = cell;
  const name = `${row.series}, ${contextName(task.contexts[at])}: ${withHalf(value, half)}`;
  const button = numberButton(task, row, at, name, decimal(value), {
    class: value === least ? "number least" : "number",
  });
  if (chosen.intervals && half !== null && value !== null) {
    button.append(element("small", {}, `±${halfWidth(half, value)}`));
  }
  return element("td", { class: `n${here}`, style: `--share:${shareOf(task, value).toFixed(3)}` }, button);
}

function bodyRow(task, row, columns, leasts) {
  const head = element("th", { scope: "row", title: row.series }, swatch(row.style), nameOf(row, row.label));
  const rank = element("td", { class: "n" }, row.rank?.text ?? "–");
  const trained = element("td", { class: "n" }, row.trainedAt);
  const numbers = task.contexts.map((_, at) => numberCell(task, row, at, leasts[at]));
  const need = element("td", { class: "n" }, needText(row.need));
  const after = columns.map(([, , read]) =>
    element("td", { class: isText(read(row)) ? "text" : "n" }, plain(read(row))),
  );
  return element("tr", { "data-row": row.index, class: row.own ? "own" : null }, head, rank, trained, ...numbers, need, ...after);
}

/** The rows that belong to no model: the best of all, the optimum, chance. */
function references(task, columns) {
  const line = (name, cells, last = "") =>
    element(
      "tr",
      {},
      element("th", { scope: "row", colspan: 3 }, name),
      ...cells,
      element("td", { class: "n" }, last),
      columns.length ? element("td", { colspan: columns.length }) : null,
    );
  const text = (value) => element("td", { class: "n" }, value === null ? "–" : decimal(value));
  const best = task.envelope.map((found, column) => {
    if (!found) return text(null);
    const [value, index, at, better] = found;
    if (!better) return text(value); // no model is named that is not better than chance
    const row = task.rows[index];
    const title = `best of all, ${decimal(value)}: ${row.series}, ${contextName(task.contexts[at])}`;
    const button = numberButton(task, row, at, title, decimal(value), { title, "data-column": column });
    return element("td", { class: "n" }, button);
  });
  const lines = [line("best of all, at most k inputs", best, needText(task.need))];
  if (task.optimum.some((value) => value !== null)) {
    lines.push(line("optimum", task.optimum.map(text)));
  }
  lines.push(line("chance", task.contexts.map(() => text(task.chance))));
  return lines;
}

/** The table of a task. */
function makeTable(task, rows) {
  const columns = columnsOf(task);
  const listed = rows.slice(0, task.most.listed);
  const leasts = task.contexts.map((_, at) =>
    Math.min(...rows.map((row) => (row.cells[at]?.[5] ? (row.cells[at][0] ?? Infinity) : Infinity))),
  );
  const heads = [
    headCell(task, "model", "model", false),
    headCell(task, "rank", "rank", true),
    headCell(task, "trained", "k_train", true),
    ...task.contexts.map((k, at) => headCell(task, `k${at}`, String(k), true, k === chosen.at)),
    headCell(task, "need", "k*(1\u00a0%)", true),
    ...columns.map(([key, title, read]) => headCell(task, key, title, !isText(read(task.rows[0])))),
  ];
  const body = listed.map((row) => bodyRow(task, row, columns, leasts));
  if (!listed.length) {
    const nothing = element("td", { colspan: heads.length, class: "none" }, "no row matches");
    body.push(element("tr", {}, nothing));
  }
  const over = element(
    "tr",
    { class: "over" },
    element("td", { colspan: 3 }),
    element("th", { scope: "colgroup", colspan: task.contexts.length }, "context length k"),
    element("td", { colspan: 1 + columns.length }),
  );
  const caption = [
    `${count(rows.length, "row")} of ${task.rows.length.toLocaleString("en")}. `,
    sharedNote(task, columns),
    element("span", { class: "hint" }, "Select a number to see its source; arrow keys move."),
  ];
  const head = [over, element("tr", {}, ...heads)];
  return withArrowKeys(tableOf(caption, head, body, references(task, columns)));
}

/** A number that opens its source. */
const numberButton = (task, row, at, name, text, attributes = {}) =>
  element(
    "button",
    {
      type: "button",
      tabindex: -1,
      class: "number",
      "aria-label": `${name}; open its source`,
      "data-column": at,
      onclick: () => openProvenance(task, row, at),
      ...attributes,
    },
    text,
  );

/** Make a table one tab stop, within which arrow keys move among the numbers. */
function withArrowKeys(table) {
  table.querySelector("button.number")?.setAttribute("tabindex", "0");
  table.addEventListener("keydown", (event) => moveAmongNumbers(table, event));
  return table;
}

function moveAmongNumbers(table, event) {
  const from = event.target.closest("button.number");
  if (!from || !event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const column = Number(from.dataset.column);
  const all = [...table.querySelectorAll("button.number")];
  const inRow = all.filter((one) => one.closest("tr") === from.closest("tr"));
  const inColumn = all.filter((one) => Number(one.dataset.column) === column);
  const line = event.key === "ArrowLeft" || event.key === "ArrowRight" ? inRow : inColumn;
  const step = event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1;
  const to = line[line.indexOf(from) + step];
  if (!to) return;
  table.querySelector('button.number[tabindex="0"]')?.setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  to.focus();
}
