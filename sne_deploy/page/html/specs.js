/* Questions to a Vega-Lite specification, and specifications made from it; nothing here is drawn. */
const reportSpecs = (() => {
  "use strict";

  const MANY_ROWS = 3000; // more marks than that are painted on a canvas
  const LISTS = ["layer", "concat", "hconcat", "vconcat"];

  function partsOf(spec) {
    return [spec.spec, ...LISTS.flatMap((name) => spec[name] || [])].filter(Boolean);
  }

  /** The tables of a specification, its parts' included. */
  function tables(spec) {
    const values = spec.data && spec.data.values;
    const own = typeof values === "string" ? [plainCsv(values)] : [values].filter(Array.isArray);
    return own.concat(partsOf(spec).flatMap(tables));
  }

  /** Rows of comma-separated numbers below their names. Vega's own reader makes code of the names. */
  function plainCsv(text) {
    const [names, ...lines] = text.trim().split("\n").map((line) => line.split(","));
    return lines.map((line) => Object.fromEntries(line.map((cell, column) => [names[column], cell])));
  }

  /** What the tooltips of a specification say, its parts' included. */
  function tooltips(spec) {
    const own = spec.encoding && spec.encoding.tooltip;
    return (own ? [own] : []).concat(partsOf(spec).flatMap(tooltips));
  }

  /** The specification whose marks say what their datum is: Vega would make the text of each beforehand. */
  function withPlainTooltips(spec) {
    const made = { ...spec };
    if (spec.encoding) {
      const { tooltip: _made, ...encoding } = spec.encoding;
      made.encoding = encoding;
    }
    if (spec.spec) made.spec = withPlainTooltips(spec.spec);
    for (const name of LISTS) if (spec[name]) made[name] = spec[name].map(withPlainTooltips);
    if (made.mark) {
      const mark = typeof made.mark === "string" ? { type: made.mark } : made.mark;
      made.mark = { tooltip: { content: "data" }, ...mark };
    }
    return made;
  }

  /** How a specification is drawn: many marks on a canvas, with the text of their one tooltip made when it shows. */
  function suited(spec) {
    const many = tables(spec).reduce((sum, table) => sum + table.length, 0) > MANY_ROWS;
    const found = tooltips(spec);
    if (!many || found.length !== 1 || !Array.isArray(found[0])) return { spec, many, fields: null };
    return { spec: withPlainTooltips(spec), many, fields: found[0] };
  }

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

  return { isComposed, plainCsv, suited, tables, withWidth };
})();
