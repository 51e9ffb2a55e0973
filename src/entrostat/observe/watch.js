"use strict";
// The page that `entrostat watch` serves is reloaded every few seconds. The reader's choices stay: when the page
// goes it is written down in the tab's own storage, and when it comes it is chosen again by the same clicks.
(() => {
  const KEY = "entrostat-chosen";
  const all = (query) => [...document.querySelectorAll(query)];
  const nameOf = (node) => node.id || node.dataset.scale || node.textContent.trim();
  const pressed = (node) => node.getAttribute("aria-pressed");
  const buttons = all("button[aria-pressed]");
  const folds = all("details");
  const atFirst = new Map([...buttons.map((node) => [node, pressed(node)]), ...folds.map((node) => [node, node.open])]);
  const chosen = JSON.parse(sessionStorage.getItem(KEY) || '{"buttons":[],"folds":[],"radios":[],"range":null,"step":null}');
  const slider = document.getElementById("step");

  buttons.filter((node) => chosen.buttons.includes(nameOf(node))).forEach((node) => node.click());
  folds.filter((node) => chosen.folds.includes(nameOf(node.querySelector("summary")))).forEach((node) => (node.open = !node.open));
  // Each choice may bring other choices with it, so they are made in their order.
  chosen.radios.forEach(([key, value]) => {
    const node = all("input[type=radio]").find((radio) => radio.name === key && radio.value === value);
    if (node && !node.checked) node.click();
  });

  if (slider && chosen.step !== null) {
    slider.value = chosen.step;
    slider.dispatchEvent(new Event("input"));
  }

  // One plot is zoomed, as by hand; the page zooms the others with it.
  const stepped = () => all(".js-plotly-plot").find((node) => node.layout && node.layout.xaxis && !node.layout.xaxis.fixedrange);
  const waiting = setInterval(() => {
    if (chosen.range && !stepped()) return;
    clearInterval(waiting);
    if (chosen.range) Plotly.relayout(stepped(), { "xaxis.range[0]": chosen.range[0], "xaxis.range[1]": chosen.range[1] });
    chosen.range = null;
  }, 100);

  function range() {
    const reset = document.getElementById("reset");
    return reset && !reset.disabled && stepped() ? [...stepped().layout.xaxis.range] : chosen.range;
  }

  // The last of a row of radio buttons is the newest step: who has it wants the newest one again.
  function radios() {
    const steps = all("input[type=radio][name=token-step]");
    return all("input[type=radio]:checked").filter((node) => node !== steps[steps.length - 1]).map(({ name, value }) => [name, value]);
  }

  addEventListener("pagehide", () => sessionStorage.setItem(KEY, JSON.stringify({
    buttons: buttons.filter((node) => pressed(node) !== atFirst.get(node)).map(nameOf),
    folds: folds.filter((node) => node.open !== atFirst.get(node)).map((node) => nameOf(node.querySelector("summary"))),
    radios: radios(), range: range(),
    step: slider && slider.value !== slider.max ? slider.value : null, // its right end is the newest step
  })));
})();
