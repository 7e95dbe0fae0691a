/** The settings that may change between rounds: the prompt, the sampler, the size and so on. */
import { button, fill, h } from "./dom.js";
import { field, settingsFields } from "./forms.js";

/** @returns {{node: HTMLElement, toggle: Function, close: Function}} */
export function makeSettings({ ctl, options, toggled }) {
  const node = h("section", { class: "hps-settings hps-passing", "aria-label": "Settings", hidden: true });

  function open() {
    const now = ctl.state.settings;
    const prompt = h("textarea", { class: "hps-input", rows: 2, required: true });
    prompt.value = now.prompt;
    const fields = settingsFields(now, options());
    const form = h(
      "form",
      {
        class: "hps-settings-form",
        onsubmit: async (event) => {
          event.preventDefault();
          const changed = { ...fields.read(), ...(prompt.value === now.prompt ? {} : { prompt: prompt.value }) };
          if (!Object.keys(changed).length || (await ctl.settings(changed))) close();
        },
      },
      field("Prompt", prompt, { isWide: true }),
      h("div", { class: "hps-fields" }, fields.nodes),
      h(
        "div",
        { class: "hps-row" },
        h("button", { type: "submit", class: "hps-button hps-primary" }, "Apply"),
        button("Close", close),
        h("span", { class: "hps-hint" }, "The present round is drawn anew; the rounds show what changed."),
      ),
    );
    fill(node, form);
    node.hidden = false;
    toggled(true);
    prompt.focus();
  }

  function close() {
    node.hidden = true;
    fill(node);
    toggled(false);
  }

  return { node, close, toggle: () => (node.hidden ? open() : close()) };
}
