// The data of the page, and which part of it is shown.

const page = JSON.parse(byId("data").textContent);
const tasks = page.tasks;

/** The reader's choices; `models` and `tasks` hold those that are hidden. */
const chosen = {
  at: page.at,
  find: "",
  budget: "",
  every: false,
  intervals: false,
  models: new Set(),
  tasks: new Set(),
};

tasks.forEach((task, i) => {
  task.index = i;
  task.rows.forEach((row, j) => {
    row.index = j;
    const trust = row.records.map((record) => record.trust).join(" ");
    const words = [row.name, `k_train=${row.kTrain}`, row.state ?? "", row.budget, trust];
    row.words = words.join(" ").toLowerCase();
  });
  task.sort = { key: "best", down: false };
  task.most = { drawn: 12, listed: 60 };
});

/** The rows of a task that match the reader's choices, in the order of its table. */
function shownRows(task) {
  const words = chosen.find.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = task.rows.filter(
    (row) =>
      (chosen.every || row.usual) &&
      (!chosen.budget || row.budget === chosen.budget) &&
      !chosen.models.has(row.label) &&
      words.every((word) => row.words.includes(word)),
  );
  return sorted(rows, task.sort);
}

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

const asNumber = (k) => (k === "full" ? Infinity : k);

function sortKey(row, key) {
  if (key.startsWith("k")) {
    const cell = row.cells[Number(key.slice(1))];
    return cell ? (cell[0] ?? Infinity) : null;
  }
  switch (key) {
    case "model":
      return row.label;
    case "trained":
      return row.kTrain === "unknown" ? null : asNumber(row.kTrain);
    case "rank":
      return row.rank ? row.rank[0] + row.rank[1] / 1e6 : null;
    case "trust":
      return row.trust;
    case "floats":
      return row.floats;
    case "budget":
      return row.budget;
    case "seeds":
      return row.records.length;
    case "parameters":
      return row.parameters;
    case "need":
      return { reached: row.need.k, beyond: 1e12, chance: 1e13 }[row.need.state] ?? null;
  }
  return null;
}
