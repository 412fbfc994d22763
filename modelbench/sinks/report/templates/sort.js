const table = document.getElementById("table");
const heads = Array.from(table.tHead.rows[0].cells);
const value = (row, index) => row.cells[index].dataset.value;
function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}
heads.forEach((head, index) => {
  head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort((a, b) => compare(value(a, index), value(b, index)));
    if (!up) rows.reverse();
    table.tBodies[0].append(...rows);
  });
});
