// Elements and formatted numbers. No text is read as HTML.

const byId = (id) => document.getElementById(id);

/** An HTML element: element("td", {class: "n"}, "text", child, …); null children are left out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG element. */
function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** A table of rows; its caption stays visible when it is scrolled. */
const tableOf = (caption, head, body, foot = [], attributes = {}) =>
  element(
    "table",
    attributes,
    element("caption", {}, element("span", {}, ...caption)),
    element("thead", {}, ...head),
    element("tbody", {}, ...body),
    foot.length ? element("tfoot", {}, ...foot) : null,
  );

const sizes = new ResizeObserver((seen) => {
  for (const { target } of seen) showCues(target.closest(".scroll"));
});

/** Mark the sides of a box at which more of its table can be scrolled to. */
function showCues(box) {
  if (!box) return;
  const rest = box.scrollWidth - box.clientWidth - box.scrollLeft;
  box.classList.toggle("more-left", box.scrollLeft > 1);
  box.classList.toggle("more-right", rest > 1);
}

/** Keep these marks right while a box is scrolled, and it or its table changes. */
function withCues(box) {
  const watch = () => {
    for (const one of [box, ...box.children]) sizes.observe(one);
  };
  box.addEventListener("scroll", () => showCues(box), { passive: true });
  new MutationObserver(watch).observe(box, { childList: true });
  watch();
  return box;
}

/** Announce a text to screen readers. */
function announce(text) {
  byId("announcement").textContent = text;
}

const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** Four decimals for losses, one for large perplexities, as the tables of the command line. */
function decimal(value) {
  if (value === null || value === undefined) return "∞";
  return value.toFixed(Math.abs(value) < 20 ? 4 : 1).replace("-", "−");
}

/** Half an interval's width with the decimals of its value; what rounds to zero is a bound. */
function halfWidth(half, value) {
  const digits = Math.abs(value) < 20 ? 4 : 1;
  const least = 10 ** -digits;
  return half >= least / 2 ? half.toFixed(digits) : `<${least.toFixed(digits)}`;
}

const withHalf = (value, half) =>
  half === null || half === undefined || value === null
    ? decimal(value)
    : `${decimal(value)} ±${halfWidth(half, value)}`;

/** The page's custom property for a colour, which differs between light and dark. */
const ink = (colour) => `var(--c${colour.slice(1)}, ${colour})`;

const SHAPES = {
  circle: "M0-3.2A3.2 3.2 0 1 1-.01-3.2Z",
  square: "M-2.9-2.9H2.9V2.9H-2.9Z",
  "triangle-up": "M0-3.6 3.6 3H-3.6Z",
  "triangle-down": "M0 3.6 3.6-3H-3.6Z",
  "triangle-left": "M-3.6 0 3-3.6V3.6Z",
  "triangle-right": "M3.6 0-3-3.6V3.6Z",
  diamond: "M0-4 3.2 0 0 4-3.2 0Z",
  cross: "M-1.2-3.6H1.2V-1.2H3.6V1.2H1.2V3.6H-1.2V1.2H-3.6V-1.2H-1.2Z",
};

/** A sample of a line: colour, dashes and shape. */
function swatch([colour, dash, shape]) {
  const sample = drawing("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" });
  const line = { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 1.8 };
  const dashes = dash[1] ? { "stroke-dasharray": dash.join(" ") } : {};
  const at = drawing("g", { transform: "translate(13 5)" });
  if (shape) at.append(drawing("path", { d: SHAPES[shape], fill: ink(colour) }));
  sample.append(drawing("line", { ...line, ...dashes, stroke: ink(colour) }), at);
  return sample;
}
