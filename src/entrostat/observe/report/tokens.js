"use strict";
// The token view. Every text here came out of a model: it becomes text nodes, never markup.
(() => {
  const { runs, texts, prompts } = JSON.parse(document.getElementById("token-data").textContent);
  const groups = JSON.parse(document.getElementById("token-groups").textContent);
  const [form, list, card] = ["choice", "answers", "card"].map((id) => document.getElementById(id));
  const made = (tag, style, ...inside) => {
    const node = document.createElement(tag);
    if (style) node.className = style;
    node.append(...inside);
    return node;
  };
  const state = { g: runs[0].g, seed: runs[0].seed, step: Infinity, show: "all" };
  const ofGroup = () => runs.filter((run) => run.g === state.g);
  const run = () => ofGroup().find(({ seed }) => seed === state.seed);
  const steps = () => [...new Set(run().answers.map(({ step }) => step))];

  // Spaces and line breaks are drawn as soft signs.
  function written(text) {
    return text.split(/([␣↵])/).filter(Boolean).flatMap((part) =>
      part === "␣" ? [made("i", "", "·")] : part === "↵" ? [made("i", "", "↵"), made("br")] : [part]);
  }

  function choice(name, legend, options, value, act) {
    const box = made("fieldset", "", made("legend", "", legend));
    options.forEach(([key, text, style]) => {
      const input = made("input");
      Object.assign(input, { type: "radio", name, value: String(key), checked: key === value });
      input.addEventListener("change", () => { act(key); render(); form.querySelector(`input[name="${name}"]:checked`).focus(); });
      box.append(made("label", style || "", input, made("span", "", text)));
    });
    return box;
  }

  function render() {
    if (!run()) state.seed = ofGroup()[0].seed;
    const known = steps();
    if (!known.includes(state.step)) state.step = known[known.length - 1];
    const recipes = [...new Set(runs.map(({ g }) => g))].map((g) => [g, groups[g].name, `r${groups[g].slot}`]);
    form.replaceChildren(
      choice("token-recipe", "Recipe", recipes, state.g, (g) => (state.g = g)),
      choice("token-seed", "Seed", ofGroup().map(({ seed }) => [seed, String(seed)]), state.seed, (seed) => (state.seed = seed)),
      choice("token-step", "Step", known.map((step) => [step, step === 0 ? "start" : String(step)]), state.step, (step) => (state.step = step)),
      choice("token-show", "Show", [["all", "all"], ["right", "right"], ["wrong", "wrong"]], state.show, (show) => (state.show = show)),
    );
    const shown = run().answers.filter(({ step, right }) => step === state.step && (state.show === "all" || right === (state.show === "right")));
    list.replaceChildren(...shown.map(answer));
    if (!shown.length) list.append(made("p", "none", `No ${state.show} answer among the ${run().answers.filter(({ step }) => step === state.step).length} recorded at this step.`));
    hint();
  }

  function answer(one) {
    const verdict = one.right ? "right" : "wrong";
    const about = made("p", "about", made("b", verdict, verdict), " ", made("span", "", `problem ${one.problem}, ${one.split}, reward ${one.reward}`));
    const box = made("p", "tok");
    if (one.tokens.length) box.setAttribute("role", "listbox"), box.setAttribute("aria-orientation", "horizontal");
    box.setAttribute("aria-label", `Answer to problem ${one.problem}, ${verdict}`);
    const spans = one.tokens.map((token, i) => {
      const span = made("span", `h${token[1]}${token[6] ? "" : " dropped"}`, ...written(texts[token[0]]));
      span.setAttribute("role", "option");
      span.setAttribute("aria-selected", "false");
      span.setAttribute("aria-label", `${texts[token[0]].replaceAll("␣", " ").trim() || "space"}, ${few(token[2])} nats`);
      span.tabIndex = i ? -1 : 0;
      const look = () => tell(token, span);
      span.addEventListener("pointerenter", look);
      span.addEventListener("focus", look);
      span.addEventListener("click", () => move(spans, i));
      return span;
    });
    box.addEventListener("keydown", (event) => {
      const at = spans.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: spans.length - 1 }[event.key];
      if (at < 0 || to === undefined || !spans[to]) return;
      event.preventDefault();
      move(spans, to);
    });
    box.append(...spans);
    const node = made("div", "answer", about, made("p", "asked", prompts[one.prompt]), box);
    if (one.cut) node.append(made("p", "rest", `… ${one.cut.toLocaleString("en")} more tokens`));
    return node;
  }

  function move(spans, to) {
    spans.forEach((span, i) => (span.tabIndex = i === to ? 0 : -1));
    spans[to].focus();
  }

  let chosen = null;
  function tell(token, span) {
    if (chosen) chosen.setAttribute("aria-selected", "false");
    (chosen = span).setAttribute("aria-selected", "true");
    const [text, , entropy, clamped, chance, mass, kept, top] = token;
    const facts = made("dl", "");
    const rows = [["entropy", `${few(entropy)} nats`], ["the recipe's measure", few(clamped)], ["drawn at", percent(chance)], ["mass kept", percent(mass)]];
    rows.forEach(([name, value]) => facts.append(made("dt", "", name), made("dd", "", value)));
    const others = made("ol", "", ...top.map(([other, share, keeps]) => {
      const bar = made("span", "bar");
      bar.style.width = `${100 * share}%`;
      const drawn = other === text ? " drawn" : "";
      return made("li", `${keeps ? "" : "out"}${drawn}`, bar, made("code", "", ...written(texts[other])), made("span", "share", percent(share)), made("span", "fate", keeps ? "kept" : "dropped"));
    }));
    const fate = kept ? [] : [made("p", "warn", "The clamp drops this token.")];
    card.replaceChildren(made("h3", "", made("code", "", ...written(texts[text]))), facts, ...fate, made("p", "title", "Likeliest tokens here"), others);
  }

  function hint() {
    chosen = null;
    card.replaceChildren(made("p", "none", "Choose a token to see its likeliest alternatives."));
  }

  form.hidden = card.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  render();
})();
