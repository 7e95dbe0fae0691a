/** What happened so far: each round's winner, the order that was given, and the way back to it. */
import { button, fill, h } from "./dom.js";
import { makeCurve } from "./curve.js";
import { words } from "./ranking.js";
import { scorerName } from "./words.js";

const said = (order) => (order ? (order.length ? words(order) : "none better") : "by pairs");

/** @returns {{node: HTMLElement, update: Function}} */
export function makeHistory({ api, ctl, zoom, branch }) {
  const chart = h("div", {});
  const list = h("ol", { class: "hps-rounds", reversed: true });
  const node = h(
    "aside",
    { class: "hps-rail", "aria-label": "Earlier rounds" },
    h("h2", { class: "hps-rail-title" }, "Rounds"),
    chart,
    list,
  );
  let shown = "";

  function update() {
    const history = ctl.state?.history ?? [];
    const key = JSON.stringify([ctl.state?.id, history, ctl.can().change]);
    if (key === shown) return;
    shown = key;
    fill(chart, makeCurve(history));
    fill(list, [...history].reverse().map(item));
    if (!history.length) fill(list, h("li", { class: "hps-hint" }, "Each round's winner will be here."));
  }

  function item(each) {
    const source = api.picture(each.thumb ?? each.picture);
    const large = api.picture(each.picture ?? each.thumb);
    const title = `Best after round ${each.round}`;
    const picture = h(
      "button",
      {
        type: "button",
        class: "hps-round-picture",
        "aria-label": `${title}, large`,
        onclick: () => zoom.show(large, title),
      },
      source ? h("img", { alt: "", src: source, loading: "lazy" }) : "",
    );
    const back = button("branch", () => branch(each.round), {
      class: "hps-link",
      title: `Start a new session as it was before round ${each.round} was answered`,
      "aria-label": `Branch from round ${each.round}`,
      disabled: !ctl.can().change,
    });
    const scores = [each.score, each.holdout].filter(Number.isFinite).map((value) => value.toPrecision(3));
    return h(
      "li",
      { class: "hps-round-item" },
      picture,
      h(
        "div",
        { class: "hps-round-words" },
        h("span", { class: "hps-round-head" }, h("b", {}, `Round ${each.round}`), back),
        h("span", {}, said(each.order), ` · ${each.by === "person" ? "you" : scorerName(each.by)}`),
        scores.length ? h("span", { class: "hps-muted" }, scores.join(" / ")) : null,
        each.change ? h("span", { class: "hps-change" }, each.change) : null,
      ),
    );
  }

  return { node, update };
}
