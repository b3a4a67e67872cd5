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
    const words = [row.series, row.own, `k_train=${row.kTrain}`, row.state ?? "", row.budget, trust];
    row.words = [...words, task.title].join(" ");
  });
  task.sort = { key: "best", down: false };
  task.most = { drawn: 12, listed: 60 };
});

/** Whether the model and the budget of a row are among the chosen ones. */
const isChosen = (row) =>
  !chosen.models.has(row.label) && (!chosen.budget || row.budget === chosen.budget);

/** Whether a text has all the words that the reader looks for. */
function isFound(text) {
  const words = chosen.find.toLowerCase().split(/\s+/).filter(Boolean);
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}

/** The rows of a task that match the reader's choices, in the order of its table. */
function shownRows(task) {
  const rows = task.rows.filter(
    (row) => (chosen.every || row.usual) && isChosen(row) && isFound(row.words),
  );
  return sorted(rows, task.sort);
}

const asNumber = (k) => (k === "full" ? Infinity : k);
