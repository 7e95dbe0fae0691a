/** What runs in the background: words, bar, preview, curve and Cancel. */
import { button, duration, fill, h } from "./dom.js";
import { makeCurve } from "./curve.js";

/** @returns {{strip: HTMLElement, stage: HTMLElement, update: Function, isShown: Function, text: Function}} `stage` takes the candidates' place */
export function makeRun({ api, ctl }) {
  const words = h("span", { class: "hps-run-words" });
  const bar = h("div", { class: "hps-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", {}));
  const cancel = button("Cancel", () => ctl.cancel(), { class: "hps-small" });
  const strip = h("div", { class: "hps-running", hidden: true }, h("div", { class: "hps-row" }, words, cancel), bar);
  const image = h("img", { class: "hps-large", alt: "The best so far" });
  const chart = h("div", { class: "hps-run-chart" });
  const stage = h("div", { class: "hps-auto", hidden: true }, h("div", { class: "hps-auto-picture" }, image), chart);
  image.addEventListener("load", () =>
    image.classList.toggle("hps-pixels", Math.max(image.naturalWidth, image.naturalHeight) <= 128),
  );
  let charted = "";

  function update() {
    const { state } = ctl;
    const isRunning = Boolean(state?.task);
    strip.hidden = !isRunning;
    stage.hidden = !isShown();
    stage.classList.toggle("hps-alone", ctl.state?.task === "mixed");
    if (isRunning) progress(state);
    if (!stage.hidden) best(state);
  }

  /** The best so far in place of the candidates: while a scorer ranks, and after it until one draws or runs again. */
  const isShown = () =>
    ["auto", "mixed"].includes(ctl.state?.task) || (ctl.mode === "auto" && ctl.can().draw && Boolean(ctl.state.best));

  function progress(state) {
    const done = Math.max(0, Math.min(1, state.progress?.done ?? 0));
    const eta =
      Number.isFinite(state.progress?.eta_s) && state.progress.eta_s > 0
        ? ` · about ${duration(state.progress.eta_s)} left`
        : "";
    words.textContent = (state.progress?.text ?? "Working") + eta;
    bar.firstChild.style.setProperty("width", `${(done * 100).toFixed(1)}%`);
    bar.setAttribute("aria-valuenow", Math.round(done * 100));
    bar.setAttribute("aria-label", words.textContent);
    cancel.disabled = ctl.busy;
  }

  function best(state) {
    const source = api.picture(state.progress?.preview ?? state.best?.picture);
    image.hidden = !source;
    if (source && image.getAttribute("src") !== source) image.src = source;
    chart.hidden = state.task === "mixed";
    const key = JSON.stringify(state.history.map((each) => [each.score, each.holdout]));
    if (key !== charted)
      fill(
        chart,
        makeCurve(state.history, { width: 460, height: 220 }) ??
          h("p", { class: "hps-hint" }, "The gain curve appears after two rounds."),
      );
    charted = key;
  }

  return { strip, stage, update, isShown, text: () => words.textContent };
}
