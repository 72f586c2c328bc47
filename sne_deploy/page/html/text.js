/* What is said of a figure, beside it: tooltips and its data. Text enters the page as text alone. */
const reportText = (() => {
  "use strict";

  const SHOWN_ROWS = 500;
  const root = document.documentElement;
  const isPicture = (uri) => /^data:image\/png;base64,[A-Za-z0-9+/=]*$/.test(uri);

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

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

  /** What a tooltip with these fields says of a datum. */
  function told(datum, fields) {
    if (datum === null || typeof datum !== "object") return datum;
    const shown = fields.map(({ field, title, format }) => [
      title || field,
      format ? window.vega.defaultLocale().format(format)(datum[field]) : datum[field],
    ]);
    return Object.fromEntries(shown);
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

  document.addEventListener("scroll", () => tooltip(null, null), { passive: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tooltip(null, null);
  });

  function dataTable(rows) {
    const table = element("table");
    const heads = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const head = element("tr");
    head.append(...heads.map((name) => {
      const cell = element("th", "words", name);
      cell.scope = "col";
      return cell;
    }));
    const body = rows.slice(0, SHOWN_ROWS).map((row) => {
      const line = element("tr");
      line.append(...heads.map((name) => {
        const shown = row[name] === undefined ? "" : String(row[name]);
        const cell = element("td", "words", isPicture(shown) ? "" : shown);
        if (isPicture(shown)) cell.append(picture(shown));
        return cell;
      }));
      return line;
    });
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    table.tBodies[0].append(...body);
    return table;
  }

  /** Tables below each other, in an element that has none yet. */
  function showData(holder, tables) {
    if (holder.childElementCount) return;
    for (const rows of tables) {
      holder.append(dataTable(rows));
      if (rows.length > SHOWN_ROWS) {
        holder.append(element("p", "", `The first ${SHOWN_ROWS} of ${rows.length} rows.`));
      }
    }
  }

  return { element, isPicture, showData, told, tooltip };
})();
