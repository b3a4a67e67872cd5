// Events: charts and tables are drawn when they come into view, and again when a choice changes.

const measured = tasks.filter((task) => task.rows.length);
const sectionOf = (task) => byId(`task-${task.index}`);
const near = new Set(); // elements in view or close to it
const stale = new Map(); // the function that draws an element once it comes into view

const watcher = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) near.add(target);
      else near.delete(target);
      if (isIntersecting) refresh(target);
    }
  },
  { rootMargin: "600px 0px" },
);

function refresh(target) {
  const render = stale.get(target);
  stale.delete(target);
  if (render) render();
}

/** Draw an element now if it is in view, else when it comes into view. */
function whenVisible(target, render) {
  stale.set(target, render);
  watcher.observe(target);
  if (near.has(target)) refresh(target);
}

function showTask(task) {
  const section = sectionOf(task);
  const rows = shownRows(task);
  const place = section.querySelector(".board");
  const left = place.scrollLeft;
  const table = makeTable(task, rows);
  place.replaceChildren(table);
  place.scrollLeft = left;
  const more = section.querySelector(".more");
  more.replaceChildren();
  if (rows.length > task.most.listed) {
    const show = () => {
      task.most.listed += 300;
      showTask(task);
    };
    const text = `Show ${Math.min(300, rows.length - task.most.listed)} more of ${count(rows.length, "row")}`;
    more.append(element("button", { type: "button", onclick: show }, text));
  }
  section.querySelector(".matrices").replaceChildren(...makeMatrices(task));
  drawCurves(task, rows).then(() => {
    for (const line of section.querySelectorAll("tr[data-row], li[data-row]")) {
      line.addEventListener("mouseenter", () => focusOn(task, Number(line.dataset.row)));
      line.addEventListener("mouseleave", () => focusOn(task, -1));
    }
  });
}

/** Show for each task the best model at the chosen k. */
function showBest() {
  const few = chosen.at === "full" ? "all inputs" : `k = ${count(chosen.at, "input")}`;
  for (const place of document.querySelectorAll("[data-at-k]")) place.textContent = few;
  for (const place of document.querySelectorAll("[data-leaders]")) {
    const task = tasks[place.dataset.leaders];
    const [who, why] = task.answers.leaders[task.contexts.indexOf(chosen.at)] ?? ["not measured", ""];
    place.querySelector("strong").textContent = who;
    place.querySelector("small").textContent = why;
  }
}

/** Show the published numbers of a task that the reader looks for; return whether there are any. */
function showPublished(task) {
  let any = false;
  for (const box of sectionOf(task).querySelectorAll(".published")) {
    const lines = [...box.querySelectorAll("tbody tr")];
    for (const line of lines) line.hidden = !isFound(`${task.title} ${line.textContent}`);
    box.hidden = lines.every((line) => line.hidden);
    any ||= !box.hidden;
  }
  return any;
}

/** The tasks that are chosen, and have what the reader looks for. */
function shownTasks() {
  const found = (task) => showPublished(task) || shownRows(task).length || !chosen.find.trim();
  return tasks.filter((task) => !chosen.tasks.has(task.index) && found(task));
}

/** Redraw everything that depends on the reader's choices. */
function showAll() {
  const shown = shownTasks();
  byId("nothing").hidden = shown.length > 0;
  for (const id of ["glance", "needs"]) {
    byId(id).closest("section").hidden = !shown.some((task) => task.rows.length);
  }
  for (const line of document.querySelectorAll("table.glance tbody tr")) {
    line.hidden = !shown.includes(tasks[line.querySelector("[data-leaders]").dataset.leaders]);
  }
  for (const task of tasks) {
    const off = !shown.includes(task);
    const section = sectionOf(task);
    section.hidden = off;
    if (task.rows.length && !off) whenVisible(section, () => showTask(task));
  }
  for (const figure of document.querySelectorAll("figure.need")) {
    const task = tasks[figure.dataset.task];
    figure.hidden = !shown.includes(task);
    if (!figure.hidden) whenVisible(figure, () => drawNeed(task));
  }
  whenVisible(byId("need-table"), () => byId("need-table").replaceChildren(needTable(shown.filter((task) => task.rows.length))));
}

/** Fill one of the two lists of checkboxes. */
function chooser(id, names, off) {
  const box = byId(id);
  const fields = box.querySelector("fieldset");
  const summarize = () => {
    const text = off.size ? `${names.length - off.size} of ${names.length}` : `all ${names.length}`;
    box.querySelector("summary span").textContent = text;
  };
  const set = (some, on) => {
    for (const { key, tick } of some) {
      tick.checked = on;
      if (on) off.delete(key);
      else off.add(key);
    }
    summarize();
    showAll();
  };
  const boxes = names.map(([key, name]) => {
    const tick = element("input", { type: "checkbox", checked: true });
    const one = { key, tick, label: element("label", {}, tick, " ", name) };
    tick.addEventListener("change", () => set([one], tick.checked));
    return one;
  });
  fields.append(
    element(
      "p",
      {},
      element("button", { type: "button", onclick: () => set(boxes, true) }, "All"),
      element("button", { type: "button", onclick: () => set(boxes, false) }, "None"),
    ),
    ...boxes.map(({ label }) => label),
  );
  summarize();
}

function theme() {
  const button = byId("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const show = () => {
    const on = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    button.textContent = on ? "Light colours" : "Dark colours";
    return on;
  };
  button.addEventListener("click", () => {
    root.dataset.theme = show() ? "light" : "dark";
    show();
  });
  dark.addEventListener("change", show);
  show();
}

function controls() {
  const form = document.querySelector("form.controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  let waiting = 0;
  byId("find").addEventListener("input", (event) => {
    chosen.find = event.target.value;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      showAll();
      const left = measured.reduce((sum, task) => sum + shownRows(task).length, 0);
      announce(`${count(left, "row")} shown`);
    }, 120);
  });
  byId("budget")?.addEventListener("change", (event) => {
    chosen.budget = event.target.value;
    showAll();
  });
  byId("at").addEventListener("change", (event) => {
    chosen.at = event.target.value === "full" ? "full" : Number(event.target.value);
    showBest();
    showAll();
    announce(`Compared at ${contextName(chosen.at)}`);
  });
  for (const id of ["every", "intervals"]) {
    byId(id).addEventListener("change", (event) => {
      chosen[id] = event.target.checked;
      showAll();
    });
  }
  if (!measured.some((task) => task.rows.some((row) => !row.usual))) {
    byId("every").closest("label").hidden = true;
  }
  chooser("choose-models", page.models.map((label) => [label, label]), chosen.models);
  chooser("choose-tasks", measured.map((task) => [task.index, task.title]), chosen.tasks);
  const open = [...document.querySelectorAll("details.choose")];
  document.addEventListener("click", (event) => {
    for (const box of open) if (!box.contains(event.target)) box.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const box of open.filter((one) => one.open)) {
      box.open = false;
      box.querySelector("summary").focus();
    }
  });
}

for (const box of document.querySelectorAll(".scroll")) withCues(box);
if (measured.length) {
  theme();
  controls();
  showBest(); // a browser may restore choices when the page is opened again
  showAll();
}
byId("provenance").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close(); // a click outside it
});
window.addEventListener("beforeprint", () => {
  for (const target of stale.keys()) refresh(target);
});
// What is above the place that a link leads to grows when it is drawn, which moves that place.
const toPlace = () => document.getElementById(location.hash.slice(1))?.scrollIntoView();
for (const event of ["hashchange", "load"]) window.addEventListener(event, () => setTimeout(toPlace, 300));
