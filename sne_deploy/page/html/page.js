/* Draws every figure of the page, and redraws them where width, theme or medium change.
   Text from the report enters the page as text alone. */
(() => {
  "use strict";

  const NARROW_PX = 560;
  const PRINTED_PX = 660;
  const MANY_ROWS = 3000; // more marks than that are painted on a canvas
  const SHOWN_ROWS = 500;
  const PRINT_TICKS = 50; // a view without pictures takes about ten
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const charts = Array.from(document.querySelectorAll("[data-figure]"), (holder) => ({
    holder,
    spec: data.figures[Number(holder.dataset.figure)],
    key: null,
    view: null,
  }));
  const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
  const printMedium = window.matchMedia("print");
  let printing = printMedium.matches;

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* ---- what is drawn ---- */

  function theme() {
    if (printing) return "light";
    return root.dataset.theme || (darkScheme.matches ? "dark" : "light");
  }

  /** The tables of a specification, its parts' included. */
  function tables(spec) {
    const parts = [spec.spec, ...["layer", "concat", "hconcat", "vconcat"].flatMap((name) => spec[name] || [])];
    const values = spec.data && spec.data.values;
    const own = typeof values === "string" ? [plainCsv(values)] : [values].filter(Array.isArray);
    return own.concat(parts.filter(Boolean).flatMap(tables));
  }

  /** Rows of comma-separated numbers below their names. Vega's own reader makes code of the names. */
  function plainCsv(text) {
    const [names, ...lines] = text.trim().split("\n").map((line) => line.split(","));
    return lines.map((line) => Object.fromEntries(line.map((cell, column) => [names[column], cell])));
  }
  window.vega.formats("csv", plainCsv);

  function isComposed(spec) {
    return ["concat", "hconcat", "vconcat", "facet", "repeat"].some((name) => name in spec) ||
      ["row", "column", "facet"].some((name) => spec.encoding && name in spec.encoding);
  }

  /** The specification with a width in each of its views that has none. */
  function withWidth(spec, width) {
    const each = (list, share) => list.map((part) => withWidth(part, width / share));
    if (spec.vconcat) return { ...spec, vconcat: each(spec.vconcat, 1) };
    if (spec.hconcat) return { ...spec, hconcat: each(spec.hconcat, spec.hconcat.length) };
    if (spec.concat) return { ...spec, concat: each(spec.concat, spec.columns || spec.concat.length) };
    if (spec.spec) return { ...spec, spec: withWidth(spec.spec, width / (spec.columns || 1)) };
    return "width" in spec ? spec : { ...spec, width: Math.max(60, Math.floor(width)) };
  }

  function config(width) {
    const found = structuredClone(data.themes[theme()]);
    if (width < NARROW_PX) {
      Object.assign(found.legend, { orient: "bottom", columns: 2, labelLimit: 110 });
      Object.assign(found.axis, { labelLimit: 90 });
    }
    return found;
  }

  const isPicture = (uri) => /^data:image\/png;base64,[A-Za-z0-9+/=]*$/.test(uri);
  const nothing = () => Promise.reject(new Error("a report fetches nothing"));
  const loader = {
    load: nothing,
    sanitize: (uri) => (isPicture(uri) ? Promise.resolve({ href: uri }) : nothing()),
  };

  const logger = window.vega.logger(window.vega.Warn);
  const warn = logger.warn.bind(logger);
  // A figure is fitted to the page's width; where its height follows from its rows, that stays so.
  logger.warn = (...told) => /^Dropping "fit-/.test(told[0]) ? logger : warn(...told);

  async function microtasks(count) {
    for (let done = 0; done < count; done += 1) await null;
  }

  /** Draws a specification in place of what the chart showed before. */
  async function show(spec, chart, renderer, width) {
    if (chart.view) chart.view.finalize();
    const compiled = window.vegaLite.compile(spec, { config: config(width), logger }).spec;
    chart.view = new window.vega.View(window.vega.parse(compiled, null, { ast: true }), {
      expr: window.vega.expressionInterpreter,
      container: chart.holder,
      hover: true,
      loader,
      renderer,
      tooltip: (_handler, event, _item, value) => tooltip(event, value),
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
    const rows = tables(chart.spec).reduce((sum, table) => sum + table.length, 0);
    const renderer = rows > MANY_ROWS && !printing ? "canvas" : "svg";
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

  /* ---- tooltips ---- */

  const tip = element("div", "tip");
  tip.hidden = true;
  document.body.append(tip);

  function tooltip(event, value) {
    if (value === null || value === undefined || value === "") {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren(...tooltipParts(value));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, root.clientWidth - width - 8);
    const below = event.clientY + 16;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below + height > window.innerHeight ? Math.max(8, event.clientY - height - 12) : below}px`;
  }

  function tooltipParts(value) {
    if (typeof value !== "object") return [element("p", "", String(value))];
    const list = element("dl");
    const images = [];
    for (const [name, shown] of Object.entries(value)) {
      if (name === "image") images.push(picture(String(shown)));
      else list.append(element("dt", "", name), element("dd", "", String(shown)));
    }
    return [...images.filter(Boolean), list];
  }

  function picture(uri) {
    if (!isPicture(uri)) return null;
    const made = element("img");
    made.alt = "";
    made.src = uri;
    return made;
  }

  /** A tap shows what hovering would. */
  document.addEventListener("pointerup", (event) => {
    const item = event.target instanceof Element ? event.target.__data__ : null;
    const found = item && (Array.isArray(item) ? item[0] : item);
    if (event.pointerType === "touch") tooltip(event, found ? found.tooltip : null);
  });
  document.addEventListener("scroll", () => tooltip(null, null), { passive: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tooltip(null, null);
  });

  /* ---- a figure's data as a table ---- */

  function dataTable(rows) {
    const table = element("table");
    const heads = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "image");
    const head = element("tr");
    head.append(...heads.map((name) => {
      const cell = element("th", "words", name);
      cell.scope = "col";
      return cell;
    }));
    const body = rows.slice(0, SHOWN_ROWS).map((row) => {
      const line = element("tr");
      line.append(...heads.map((name) => element("td", "words", row[name] === undefined ? "" : String(row[name]))));
      return line;
    });
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    table.tBodies[0].append(...body);
    return table;
  }

  function openData(event) {
    const holder = event.target.querySelector(".scrolls");
    if (!event.target.open || holder.childElementCount) return;
    for (const rows of tables(data.figures[Number(event.target.dataset.dataOf)])) {
      holder.append(dataTable(rows));
      if (rows.length > SHOWN_ROWS) {
        holder.append(element("p", "", `The first ${SHOWN_ROWS} of ${rows.length} rows.`));
      }
    }
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
  drawFirst();
})();
