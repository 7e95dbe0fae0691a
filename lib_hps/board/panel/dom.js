/** Small helpers over the DOM. Text always arrives as text nodes, never as markup. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "polyline", "circle", "line", "text", "title", "g"]);
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "textContent"]);

/**
 * Make an element: `on...` are listeners, null and false are left out, everything else is an attribute.
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) node[key] = value ?? "";
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A plain button with a label; `props.class` is added to the board's own. */
export function button(label, onclick, props = {}) {
  return h("button", { type: "button", onclick, ...props, class: `hps-button ${props.class ?? ""}` }, label);
}

const ICONS = {
  undo: "M7 5 3 9l4 4M3 9h8a5 5 0 0 1 0 10H8",
  compare: "M3 5h7v12H3zM12 5h7v12h-7z",
  gear: "M4 7h9M17 7h1M4 15h1M9 15h9M15 4.5v5M7 12.5v5",
  zoom: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM14.5 14.5 19 19",
  back: "M12 4 5 11l7 7M5 11h14",
  branch: "M6 4v14M6 13c0-4 10-2 10-7M13.5 8.5 16 6l2.5 2.5",
  close: "M5 5l12 12M17 5 5 17",
  bin: "M4 6h14M9 6V4h4v2M6 6l1 12h8l1-12",
  out: "M11 14V4M7.5 7.5 11 4l3.5 3.5M4 14v4h14v-4",
  grow: "M13 4h5v5M18 4l-6 6M9 18H4v-5M4 18l6-6",
  shrink: "M18 10h-5V5M13 10l6-6M4 12h5v5M9 12l-6 6",
  pen: "M4 18l1-4L15 4l3 3L8 17z",
};

/** A line icon of 22 x 22 units in the text's colour. */
export function icon(name) {
  return h("svg", { class: "hps-icon", viewBox: "0 0 22 22", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}

/** Replace what is in a node, without a flicker where nothing changed. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(2).filter(Boolean));
  return node;
}

/** The element with the focus, also where the board stands in a shadow tree. */
export const focused = (node) => node.getRootNode().activeElement ?? null;

/** True where a key press writes text or moves a control of its own. */
export function isTyping(target) {
  return Boolean(
    target?.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]"),
  );
}

const ENDINGS = { one: "st", two: "nd", few: "rd", other: "th" };
const PLURALS = new Intl.PluralRules("en", { type: "ordinal" });

/** 1 -> "1st", 2 -> "2nd", 11 -> "11th". */
export function ordinal(number) {
  return number + ENDINGS[PLURALS.select(number)];
}

/** Seconds in words: "8 s", "3 min", "1 h 20 min". */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "5 minutes ago", "yesterday", or the date. */
export function ago(iso) {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return "";
  const minutes = Math.round((then.getTime() - Date.now()) / 60000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (minutes > -1) return "just now";
  if (minutes > -60) return words.format(minutes, "minute");
  if (minutes > -60 * 24) return words.format(Math.round(minutes / 60), "hour");
  if (minutes > -60 * 24 * 14) return words.format(Math.round(minutes / 1440), "day");
  return then.toLocaleDateString();
}
