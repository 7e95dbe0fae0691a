/** Fields for the settings of a session; what the server offers decides which ones there are. */
import { h } from "./dom.js";

const FIELDS = {
  negative: { label: "Not in the picture", kind: "text", wide: true },
  sampler: { label: "Sampler", kind: "choice", from: "samplers" },
  steps: { label: "Steps", kind: "whole", min: 1, max: 150 },
  cfg: { label: "CFG scale", kind: "real", min: 0, max: 30, step: 0.5 },
  width: { label: "Width", kind: "whole", min: 64, max: 2048, step: 8 },
  height: { label: "Height", kind: "whole", min: 64, max: 2048, step: 8 },
  model: { label: "Model", kind: "choice", from: "models" },
};

let serial = 0;

/** A labelled field. */
export function field(label, control, { isWide = false } = {}) {
  control.id ||= `hps-field-${(serial += 1)}`;
  return h("div", { class: `hps-field ${isWide ? "hps-wide" : ""}` }, h("label", { for: control.id }, label), control);
}

/** A drop-down of strings, or of {value, label, disabled}. */
export function choice(values, chosen, props = {}) {
  const options = values.map((each) => {
    const { value, label, disabled } = typeof each === "string" ? { value: each, label: each } : each;
    return h("option", { value, disabled: Boolean(disabled), selected: value === chosen }, label);
  });
  return h("select", { class: "hps-input", ...props }, options);
}

/** A number box; empty is allowed where it is not required. */
export function numberBox(value, { min, max, step = 1, isRequired = true, ...props }) {
  return h("input", {
    class: "hps-input",
    type: "number",
    inputmode: Number.isInteger(step) ? "numeric" : "decimal",
    min,
    max,
    step,
    required: isRequired,
    value: value ?? "",
    ...props,
  });
}

/**
 * The fields of generation settings but the prompt.
 * @param {object} values the present ones
 * @param {object} options from GET /options
 * @returns {{nodes: HTMLElement[], read: () => object}} `read` gives what differs from `values`
 */
export function settingsFields(values, options) {
  const controls = new Map();
  for (const [name, spec] of Object.entries(FIELDS)) {
    const choices = spec.from ? (options[spec.from] ?? []).map((each) => each.name ?? each) : null;
    if (values[name] === undefined || (choices && !choices.length)) continue;
    controls.set(name, control(values[name], { ...spec, limits: options.limits?.[name], choices }));
  }
  const nodes = [...controls].map(([name, each]) => field(FIELDS[name].label, each, { isWide: FIELDS[name].wide }));
  const read = () => {
    const changed = {};
    for (const [name, each] of controls) {
      const value = ["whole", "real"].includes(FIELDS[name].kind) ? Number(each.value) : each.value;
      if (value !== values[name]) changed[name] = value;
    }
    return changed;
  };
  return { nodes, read };
}

function control(value, { kind, min, max, step, limits, choices }) {
  if (kind === "choice") return choice(choices.includes(value) ? choices : [value, ...choices], value);
  if (kind === "text") return h("input", { class: "hps-input", type: "text", value });
  const [low, high] = limits ?? [min, max];
  return numberBox(value, { min: low, max: high, step: kind === "real" ? "any" : (step ?? 1) });
}
