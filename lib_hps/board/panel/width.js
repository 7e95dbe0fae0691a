/** How much room the board has, as classes: it may stand in a column of another page, where the window says nothing. */

const NARROW_PX = 1000;
const PHONE_PX = 640;

/**
 * Keep the classes hps-narrow and hps-phone as the width of the board is.
 * @param {HTMLElement} root
 * @returns {Function} stops watching
 */
export function followWidth(root) {
  const measure = () => {
    const width = root.offsetWidth;
    if (!width) return; // not on the screen
    root.classList.toggle("hps-narrow", width <= NARROW_PX);
    root.classList.toggle("hps-phone", width <= PHONE_PX);
  };
  measure();
  const sizes = new ResizeObserver(measure);
  sizes.observe(root);
  return () => sizes.disconnect();
}
