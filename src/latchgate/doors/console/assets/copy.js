// Copies what an element shows; without this it is selected by hand.
"use strict";

const told = document.querySelector("[data-copied]");
const words = document.querySelector("[data-copied-words]");
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) {
    continue;
  }
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    told.textContent = words.content.textContent;
  });
}
