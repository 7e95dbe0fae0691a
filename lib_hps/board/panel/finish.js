/** Good enough: the winner at a larger size, saved with its recipe. */
import { button, fill, h } from "./dom.js";
import { field, numberBox } from "./forms.js";
import { largeImage, makeDialog } from "./dialog.js";

/** @returns {{open: Function, node: HTMLElement, update: Function}} */
export function makeFinish({ board, api, ctl, toast, zoom }) {
  const dialog = makeDialog(board, "Finish", "hps-finish");
  const node = h("section", { class: "hps-finals", "aria-label": "Finished pictures", hidden: true });
  let shown = "";

  function open() {
    if (!ctl.can().finish) return toast("Rank one round first: then there is a winner to finish.");
    const { settings, best } = ctl.state;
    const top = ctl.draft.tiers[0]?.[0];
    const one = ctl.state.candidates.find((each) => each.number === top) ?? best;
    const width = numberBox(settings.width * 2, { min: 64, max: 4096, step: 8 });
    const height = numberBox(settings.height * 2, { min: 64, max: 4096, step: 8 });
    const strength = numberBox("", { min: 0, max: 1, step: 0.05 });
    api.options().then(({ defaults }) => strength.value === "" && (strength.value = defaults.strength), () => {});
    const form = h(
      "form",
      {
        class: "hps-finish-form",
        onsubmit: (event) => {
          event.preventDefault();
          dialog.close();
          ctl.finish({ width: Number(width.value), height: Number(height.value), strength: strength.value === "" ? null : Number(strength.value) });
        },
      },
      h("h2", {}, "The winner, larger"),
      h(
        "p",
        { class: "hps-muted" },
        top === undefined
          ? "The best picture so far is drawn again at a larger size and saved with its recipe."
          : "Your order for this round is sent first; its winner is then drawn at a larger size and saved with its recipe.",
      ),
      h(
        "div",
        { class: "hps-fields" },
        field("Width", width),
        field("Height", height),
        field("Denoising strength", strength),
      ),
      h(
        "div",
        { class: "hps-row" },
        h("button", { type: "submit", class: "hps-button hps-primary" }, "Finish"),
        button("Go on ranking", () => dialog.close()),
      ),
    );
    fill(dialog, largeImage(api.picture(one.picture), "The winner"), form);
    dialog.showModal();
    form.querySelector("[type=submit]").focus();
    return null;
  }

  function update() {
    const finals = ctl.state?.finals ?? [];
    const key = JSON.stringify([ctl.state?.id, finals]);
    node.hidden = !finals.length;
    const isNew = ctl.state?.status === "finished";
    node.classList.toggle("hps-passing", isNew);
    node.classList.toggle("hps-later", !isNew);
    if (key === shown) return;
    shown = key;
    fill(node, [...finals].reverse().map(final));
  }

  function final(each, index) {
    const source = api.picture(each.picture);
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(each.infotext);
        toast("The recipe is copied: paste it as infotext, or save it to a file for “hps render --infotext FILE”.");
      } catch {
        toast("The browser does not allow copying here: select the text below.", { isError: true });
        node.querySelectorAll("details")[index].open = true;
      }
    };
    return h(
      "article",
      { class: "hps-final" },
      h(
        "button",
        {
          type: "button",
          class: "hps-final-picture",
          "aria-label": "The finished picture, large",
          onclick: () => zoom.show(source, "The finished picture"),
        },
        largeImage(source, "The finished picture"),
      ),
      h(
        "div",
        { class: "hps-final-words" },
        h(
          "b",
          {},
          index ? "Finished earlier" : "Finished",
          each.width ? h("span", { class: "hps-muted" }, ` · ${each.width} × ${each.height}`) : null,
        ),
        h(
          "div",
          { class: "hps-row" },
          h("a", { class: "hps-button hps-primary", href: source, download: "" }, "Save the picture"),
          button("Copy its recipe", copy),
        ),
        h(
          "details",
          {},
          h("summary", {}, "Recipe (infotext)"),
          h("pre", { class: "hps-infotext", tabindex: 0 }, each.infotext),
        ),
      ),
    );
  }

  return { open, node, update };
}
