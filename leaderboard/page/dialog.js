// The source of a number: its records.

const contextName = (k) => (k === "full" ? "full context" : `k = ${k}`);
const facts = (number) => page.shared[number];

/** Any value as one line of text. */
function plain(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (typeof value === "object") {
    return Object.entries(value)
      .map(([name, inner]) => `${name} ${plain(inner)}`)
      .join(", ");
  }
  if (typeof value === "number" && !Number.isInteger(value)) return String(+value.toPrecision(6));
  if (typeof value === "number") return value.toLocaleString("en");
  return String(value);
}

function definitions(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, plain(value))));
  }
  return list;
}

const group = (title, pairs) =>
  element("details", {}, element("summary", {}, title), definitions(pairs));

const entries = (mapping) => Object.entries(mapping ?? {});

/** A record's point: an object with the names of `page.point`. */
function pointOf(record, at) {
  const values = record.points[at];
  if (!values) return null;
  const point = Object.fromEntries(page.point.map((name, i) => [name, values[i]]));
  point.method = facts(point.method);
  return point;
}

const METHODS = {
  all: "every target scored",
  sample: "a sample of targets, the rest estimated from the full context's losses",
  few: "a small sample of targets; the sampling error may be larger than stated",
};

/** Show the source of a row's score at one context length. */
function openProvenance(task, row, at) {
  const box = byId("provenance");
  const cell = row.cells[at];
  const k = task.contexts[at];
  const close = element("button", { type: "submit", class: "close", "aria-label": "Close" }, "×");
  const several = cell[4] > 1;
  const range = `${decimal(cell[2])} to ${decimal(cell[3])}`;
  const seeds = several ? ` median of ${count(cell[4], "seed")}, ${range}` : "";
  box.replaceChildren(
    element("form", { method: "dialog" }, close),
    element("h2", { id: "provenance-title" }, `${row.series}, ${contextName(k)}`),
    element("p", { class: "where" }, `${task.title}: ${task.unit}`),
    element("p", { class: "big" }, withHalf(cell[0], cell[1]), element("small", {}, seeds)),
    element("p", { class: "where" }, comparisons(task, cell, at)),
    ...row.records.map((record) => recordSection(task, row, record, at)),
  );
  box.showModal();
  box.scrollTop = 0;
}

function comparisons(task, cell, at) {
  const best = task.envelope[at];
  const optimum = task.optimum[at];
  const parts = [`chance ${decimal(task.chance)}`];
  if (optimum !== null) parts.push(`optimum ${decimal(optimum)}`);
  if (best) parts.push(`best of all with at most this k ${decimal(best[0])}`);
  return parts.join(" · ");
}

function recordSection(task, row, record, at) {
  const point = pointOf(record, at);
  const suite = facts(record.suite);
  const model = facts(record.model);
  const training = facts(record.training);
  const dirty = suite.dirty ? ", with changes" : "";
  const interval = point && point.low !== null ? [point.low, point.high] : null;
  const shown = point
    ? [
        ["loss", `${plain(point.loss)} ${task.lossUnit}`],
        ["95 % interval", interval && `${plain(interval[0])} to ${plain(interval[1])}`],
        ["targets scored", point.n],
        ["method", METHODS[point.method] ?? point.method],
        ["sampling error", point.half_width === 0 ? "none" : `±${plain(point.half_width)}`],
        ["excess over full", point.excess],
        ["accuracy", point.accuracy],
        ["model steps", point.steps],
      ]
    : [["loss", "not measured with this seed"]];
  return element(
    "section",
    {},
    element("h3", {}, `Seed ${record.seed}`),
    definitions([
      ...shown,
      ["trust", record.trust],
      ["task version", task.version],
      ["data hash", task.data],
      ["model sha-256", record.weights],
      ["recipe", training.recipe === null ? "none" : training.recipe],
      ["suite commit", suite.commit ? suite.commit + dirty : "unknown"],
    ]),
    group("Task", [
      ["id", task.id],
      ["split", task.split],
      ["loss", `${task.loss}, ${task.lossUnit}`],
    ]),
    group("Model", [["label", row.label], ["parameters", row.parameters], ...entries(model)]),
    group("Training", [
      ["k_train", row.kTrain],
      ["state", row.state],
      ["budget", row.budget],
      ...entries(training).filter(([name]) => name !== "recipe"),
      ...entries(record.result),
      ...entries(facts(record["trained on"])),
    ]),
    group("Measurement", [...entries(facts(record.measurement)), ...entries(record.cost)]),
    group("Environment", [
      ["suite version", suite.version],
      ["record written", record.created.replace("T", " ")],
      ["record schema", record.schema],
      ...entries(facts(record["measured on"])),
    ]),
    group("Validity gate", entries(facts(record.validity) ?? { gate: "not checked: measured before every record passed the gate" })),
    entries(record.extras).length ? group("Further scores", entries(record.extras)) : null,
  );
}
