/** Light or dark: the host's class where there is a host, else what the system prefers. */

/**
 * @param {HTMLElement} root gets the class hps-dark
 * @param {"auto"|"light"|"dark"} theme
 * @returns {Function} stops watching
 */
export function followTheme(root, theme = "auto") {
  if (theme !== "auto") {
    root.classList.toggle("hps-dark", theme === "dark");
    return () => {};
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const around = root.getRootNode().host ?? root.parentElement;
  const host = around.closest(".gradio-container, gradio-app");
  const paint = () =>
    root.classList.toggle("hps-dark", host ? Boolean(around.closest(".dark")) : system.matches);
  paint();
  system.addEventListener("change", paint);
  const watch = new MutationObserver(paint);
  for (let each = host ? around : null; each; each = each.parentElement)
    watch.observe(each, { attributeFilter: ["class"] });
  return () => {
    system.removeEventListener("change", paint);
    watch.disconnect();
  };
}
