/* Draws every figure of the page, and redraws them where width, theme or medium change.
   Text from the report enters the page as text alone. */
(() => {
  "use strict";

  const { isComposed, plainCsv, suited, tables, withWidth } = reportSpecs;
  const { element, isPicture, showData, told, tooltip } = reportText;
  const NARROW_PX = 560;
  const PRINTED_PX = 660;
  const PRINT_TICKS = 50; // a view without pictures takes about ten
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
  const printMedium = window.matchMedia("print");
  let printing = printMedium.matches;

  window.vega.formats("csv", plainCsv); // its own makes code of the names of columns
  const charts = Array.from(document.querySelectorAll("[data-figure]"), (holder) => ({
    holder,
    controls: element("div", "controls"),
    ...suited(data.figures[Number(holder.dataset.figure)]),
    key: null,
    view: null,
  }));

  function theme() {
    if (printing) return "light";
    return root.dataset.theme || (darkScheme.matches ? "dark" : "light");
  }

  function config(width) {
    const found = structuredClone(data.themes[theme()]);
    if (width < NARROW_PX) {
      Object.assign(found.legend, { orient: "bottom", columns: 2, labelLimit: Math.floor(width / 2) - 45 });
      Object.assign(found.axis, { labelLimit: 90 });
    }
    return found;
  }

  const nothing = () => Promise.reject(new Error("a report fetches nothing"));
  const loader = {
    load: nothing,
    sanitize: (uri) => (isPicture(uri) ? Promise.resolve({ href: uri }) : nothing()),
  };

  const logger = window.vega.logger(window.vega.Warn);
  const warn = logger.warn.bind(logger);
  // A figure is fitted to the page's width; where its height follows from its rows, that stays so.
  logger.warn = (...words) => /^Dropping "fit-/.test(words[0]) ? logger : warn(...words);

  const said = (chart, value) => (chart.fields ? told(value, chart.fields) : value);

  async function microtasks(count) {
    for (let done = 0; done < count; done += 1) await null;
  }

  /** Draws a specification in place of what the chart showed before. */
  async function show(spec, chart, renderer, width) {
    if (chart.view) chart.view.finalize();
    chart.controls.replaceChildren();
    const compiled = window.vegaLite.compile(spec, { config: config(width), logger }).spec;
    chart.view = new window.vega.View(window.vega.parse(compiled, null, { ast: true }), {
      expr: window.vega.expressionInterpreter,
      container: chart.holder,
      bind: chart.controls,
      hover: true,
      loader,
      renderer,
      tooltip: (_handler, event, _item, value) => tooltip(event, said(chart, value)),
    });
    chart.view.addEventListener("pointerup", (event, item) => { // a tap shows what hovering would
      if (event.pointerType === "touch" && item) tooltip(event, said(chart, item.tooltip));
    });
    const done = chart.view.runAsync();
    // Vega is done when it has fetched pictures, from the page itself, which is too late for print.
    await (printing ? Promise.race([done, microtasks(PRINT_TICKS)]) : done);
    for (const image of chart.holder.querySelectorAll("svg image")) {
      const url = image.__data__ && image.__data__.url;
      if (isPicture(url) && !image.getAttribute("href")) image.setAttribute("href", url);
    }
  }

  async function draw(chart) {
    try {
      await drawn(chart);
    } catch (error) {
      chart.holder.replaceChildren(element("p", "absent", `This figure could not be drawn: ${error.message}`));
      console.error(error);
    }
  }

  async function drawn(chart) {
    const width = printing ? PRINTED_PX : Math.floor(chart.holder.clientWidth);
    const renderer = chart.many && !printing ? "canvas" : "svg";
    const key = `${theme()} ${width} ${renderer}`;
    if (key === chart.key || width <= 0) return;
    chart.key = key;
    if (!isComposed(chart.spec)) {
      const spec = { autosize: { type: "fit-x", contains: "padding" }, ...withWidth(chart.spec, width) };
      await show(spec, chart, renderer, width);
    } else { // It cannot be fitted, so what surrounds its views is measured first.
      const inner = width - 90;
      await show(withWidth(chart.spec, inner), chart, "svg", width);
      const excess = chart.holder.firstElementChild.getBoundingClientRect().width - width;
      if (chart.key === key && (excess > 0 || excess < -30 || renderer !== "svg")) {
        await show(withWidth(chart.spec, inner - excess - 1), chart, renderer, width);
      }
    }
    if (chart.key === key) chart.holder.dataset.drawn = theme();
  }

  function drawAll() {
    return Promise.all(charts.map(draw));
  }

  /** One after the other, so that the first are seen while the last are drawn. */
  async function drawFirst() {
    for (const chart of charts) {
      await draw(chart);
      await new Promise((resolve) => { setTimeout(resolve); });
    }
    root.dataset.drawnMs = String(Math.round(performance.now()));
  }

  /* ---- controls ---- */

  function toggleTheme() {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    drawAll();
  }

  async function copy(event) {
    const button = event.currentTarget;
    const source = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
  }

  function openData(event) {
    const { open, dataset } = event.target;
    if (open) showData(event.target.querySelector(".scrolls"), tables(data.figures[Number(dataset.dataOf)]));
  }

  function setPrinting(now) {
    printing = now;
    drawAll();
  }

  document.getElementById("theme").addEventListener("click", toggleTheme);
  document.querySelectorAll("[data-copies]").forEach((button) => button.addEventListener("click", copy));
  document.querySelectorAll("details.data").forEach((each) => each.addEventListener("toggle", openData));
  darkScheme.addEventListener("change", drawAll);
  printMedium.addEventListener("change", (event) => setPrinting(event.matches));
  window.addEventListener("beforeprint", () => setPrinting(true));
  window.addEventListener("afterprint", () => setPrinting(printMedium.matches));
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 120);
  });
  // A picture, which the holder is to who hears it, can hold no control.
  charts.forEach(({ holder, controls }) => holder.after(controls));
  drawFirst();
})();
