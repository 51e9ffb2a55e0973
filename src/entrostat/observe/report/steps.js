"use strict";
// One step for the whole page: pointed at in any plot, or chosen with the slider, it is marked in every plot, and the
// numbers above each plot are those of that step.
const linkedSteps = (data, { valueAt }) => {
  const slider = document.getElementById("step");
  const output = document.getElementById("step-shown");
  const marks = data.panels.filter(({ plane }) => !plane).map((panel) => {
    const node = document.getElementById(`plot-${panel.key}`);
    const line = document.createElement("i");
    const list = node.parentElement.querySelector(".ends");
    line.className = "pointer";
    line.hidden = true;
    return { panel, node, line, when: list.querySelector(".when"), ends: [...list.querySelectorAll("[data-end]")].map(end) };
  });
  let chosen = null; // with the slider; null is the end of the run
  let pointed = null;

  function end(item) {
    return { g: Number(item.dataset.end), item, value: item.querySelector(".value"), last: item.querySelector(".value").textContent };
  }

  function show() {
    const step = pointed ?? chosen;
    marks.forEach((mark) => {
      write(mark, step);
      place(mark);
    });
    slider.value = String(step ?? slider.max);
    output.textContent = step === null ? "end" : step.toLocaleString("en");
    slider.setAttribute("aria-valuetext", step === null ? "the end" : `step ${output.textContent}`);
  }

  function write({ panel, when, ends }, step) {
    when.textContent = step === null ? "at the end" : `at step ${step.toLocaleString("en")}`;
    ends.forEach(({ g, value, last }) => {
      const at = step === null ? last : valueAt(panel.lines.find((line) => line.kind === "median" && line.g === g), step);
      value.textContent = step === null ? last : at === undefined ? "–" : panel.share ? percent(at) : few(at);
    });
  }

  function place({ node, line }) {
    const step = pointed ?? chosen;
    const area = node.querySelector(".nsewdrag");
    line.hidden = step === null || !area;
    if (line.hidden) return;
    const [from, to] = node.layout.xaxis.range;
    const [box, inside] = [node.getBoundingClientRect(), area.getBoundingClientRect()];
    line.hidden = step < from || step > to;
    line.style.left = `${inside.left - box.left + (inside.width * (step - from)) / (to - from)}px`;
    Object.assign(line.style, { top: `${inside.top - box.top}px`, height: `${inside.height}px` });
  }

  function point(step) {
    pointed = step;
    show();
  }

  // Half of a range, with the chosen step in its middle as far as the range goes: zooming for those who do not drag.
  function around([from, to]) {
    const width = Math.max((to - from) / 2, Math.min(2, to - from));
    const start = Math.min(Math.max((chosen ?? to) - width / 2, from), to - width);
    return [start, start + width];
  }

  // Called once for a plot, as soon as it is drawn.
  function follow(node) {
    const mark = marks.find((one) => one.node === node);
    if (!mark) return;
    node.append(mark.line);
    node.on("plotly_hover", ({ points }) => point(Math.round(points[0].x)));
    node.on("plotly_unhover", () => point(null));
    node.on("plotly_afterplot", () => place(mark));
    place(mark);
  }

  slider.addEventListener("input", () => {
    chosen = slider.value === slider.max ? null : Number(slider.value);
    show();
  });
  const hide = (hidden) => marks.forEach(({ ends }) => ends.forEach(({ g, item }) => (item.hidden = hidden.has(g))));
  return { follow, hide, around };
};
