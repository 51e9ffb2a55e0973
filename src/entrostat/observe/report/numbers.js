"use strict";
// How the page's scripts write numbers: in three digits, as the rest of the page does.
const few = (value) => {
  if (value === 0) return "0";
  if (Math.abs(value) < 0.01) return String(Number(value.toPrecision(2)));
  return Math.abs(value) < 1000 ? value.toPrecision(3) : Math.round(value).toLocaleString("en");
};
const percent = (value) => `${value > 0 && value < 1e-5 ? "<0.001" : Number((100 * value).toPrecision(3))}%`;
