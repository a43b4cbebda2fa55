"use strict";
// Tables are sorted by a click on a column's name, and pictures shown in their own size by a click.

function value_of(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = text.replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, "").match(/^[<>]?\s*([+-]?\d*\.?\d+(e[+-]?\d+)?)/i);
  return { text, number: number ? Number(number[1]) : NaN };
}

function compare(one, other) {
  if (!isNaN(one.number) && !isNaN(other.number)) return one.number - other.number;
  if (isNaN(one.number) !== isNaN(other.number)) return isNaN(one.number) ? 1 : -1;
  return one.text.localeCompare(other.text, undefined, { numeric: true });
}

function sort_by(head) {
  const rows = [...head.closest("table").rows].slice(1), column = head.cellIndex;
  const falls = head.getAttribute("aria-sort") === "ascending";
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  const known = rows.filter((row) => !isNaN(value_of(row, column).number));
  const ordered = rows.map((row) => [value_of(row, column), row]).sort(([one], [other]) => compare(one, other));
  if (falls) { // what is no number stays last
    const split = known.length || ordered.length;
    ordered.splice(0, split, ...ordered.slice(0, split).reverse());
  }
  rows[0].parentNode.append(...ordered.map(([, row]) => row));
}

for (const head of document.querySelectorAll("table.sortable th")) {
  head.tabIndex = 0;
  head.title = "sort by this column";
  head.addEventListener("click", () => sort_by(head));
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort_by(head); });
}

for (const frame of document.querySelectorAll(".picture")) {
  const image = frame.firstElementChild;
  image.tabIndex = 0;
  image.title = "its own size, and back";
  const turn = () => frame.classList.toggle("whole");
  image.addEventListener("click", turn);
  image.addEventListener("keydown", (event) => { if (event.key === "Enter") turn(); });
}
