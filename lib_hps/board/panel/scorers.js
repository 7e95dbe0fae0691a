/** Choosing who ranks: one scorer, or several together with weights. */
import { choice, field, numberBox } from "./forms.js";
import { h } from "./dom.js";
import { scorerName } from "./words.js";

const SEVERAL = "several";

/** What a drop-down offers of the scorers: those that are not here are shown, but cannot be chosen. */
export const scorerChoices = (scorers) =>
  scorers.map(({ name, available }) => ({
    value: name,
    label: scorerName(name) + (available ? "" : " (not here)"),
    disabled: !available,
  }));

/**
 * @param {{name: string, available: boolean}[]} scorers at least one of them available
 * @returns {{nodes: HTMLElement[], read: () => string, members: () => string[]}} `read` gives the name for the API
 */
export function scorerPicker(scorers, label) {
  const here = scorers.filter((each) => each.available).map((each) => each.name);
  const several = here.length > 1 ? [{ value: SEVERAL, label: "several together …" }] : [];
  const select = choice([...scorerChoices(scorers), ...several], here[0]);
  const weights = new Map(here.map((name, at) => [name, numberBox(at < 2 ? 1 : 0, { min: 0, max: 100, step: 0.1 })]));
  const group = h(
    "div",
    { class: "hps-weights", role: "group", "aria-label": "Weights", hidden: true },
    [...weights].map(([name, box]) => field(`Weight of ${scorerName(name)}`, box)),
  );
  select.addEventListener("change", () => (group.hidden = select.value !== SEVERAL));
  const chosen = () => [...weights].filter(([, box]) => Number(box.value) > 0);
  const isSeveral = () => select.value === SEVERAL && chosen().length > 0;
  return {
    nodes: [field(label, select), group],
    read: () =>
      isSeveral()
        ? `ensemble:${chosen()
            .map(([name, box]) => `${name}=${Number(box.value)}`)
            .join(",")}`
        : select.value === SEVERAL
          ? here[0]
          : select.value,
    members: () => (isSeveral() ? chosen().map(([name]) => name) : [select.value]),
  };
}
