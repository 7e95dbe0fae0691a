/** The score over the rounds as inline SVG: the score that was optimised, and the held-out one beside it. */
import { h } from "./dom.js";
import { scorerName } from "./words.js";

const MARGIN = { x: 8, top: 10, bottom: 16 };

/**
 * Each score has a scale of its own, because two scorers' numbers cannot be compared; what counts is where they go.
 * @param {{round: number, score: number|null, holdout: number|null}[]} history
 * @returns {HTMLElement|null} null where fewer than two rounds have a score
 */
export function makeCurve(history, { width = 240, height = 96 } = {}) {
  const rounds = history.filter((each) => Number.isFinite(each.score) || Number.isFinite(each.holdout));
  if (rounds.length < 2) return null;
  const [first, last] = [rounds[0].round, rounds.at(-1).round];
  const x = (round) => MARGIN.x + ((round - first) / Math.max(1, last - first)) * (width - 2 * MARGIN.x);
  const drawings = [];
  const legend = [];
  for (const [key, name, style] of [
    ["score", scorerName(scorerOf(rounds) ?? "score"), "hps-line"],
    ["holdout", `held out${heldOut(rounds)}`, "hps-line hps-held"],
  ]) {
    const points = rounds.filter((each) => Number.isFinite(each[key]));
    if (!points.length) continue;
    drawings.push(line(points, key, { x, height, style }));
    legend.push(entry(name, points[0][key], points.at(-1)[key], style));
  }
  const axis = h("text", { class: "hps-axis", x: MARGIN.x, y: height - 3 }, `round ${first}`);
  const end = h("text", { class: "hps-axis", x: width - MARGIN.x, y: height - 3, "text-anchor": "end" }, String(last));
  const words = legend.map((each) => each.textContent).join("; ");
  const chart = h(
    "svg",
    { class: "hps-chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Score by round. ${words}` },
    drawings,
    axis,
    end,
  );
  return h("figure", { class: "hps-curve" }, chart, h("figcaption", {}, legend));
}

function line(points, key, { x, height, style }) {
  const values = points.map((each) => each[key]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const y = (value) =>
    height - MARGIN.bottom - ((value - low) / (high - low || 1)) * (height - MARGIN.top - MARGIN.bottom);
  const path = points.map((each) => `${x(each.round).toFixed(1)},${y(each[key]).toFixed(1)}`);
  const [endX, endY] = path.at(-1).split(",");
  return h("g", { class: style }, h("polyline", { points: path.join(" ") }), h("circle", { cx: endX, cy: endY, r: 3 }));
}

const entry = (name, from, to, style) =>
  h("span", { class: `hps-key ${style}` }, h("i", {}), `${name} `, h("b", {}, `${number(from)} → ${number(to)}`));

const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

const scorerOf = (rounds) => rounds.findLast((each) => each.by && each.by !== "person")?.by;

function heldOut(rounds) {
  const name = rounds.findLast((each) => each.holdout_by)?.holdout_by;
  return name ? `: ${scorerName(name)}` : "";
}
