// Puts a Copy button beside each command. Without this script the commands can be selected and copied by hand.
"use strict";
(() => {
  if (!navigator.clipboard) return;
  for (const line of document.querySelectorAll(".line")) {
    const code = line.querySelector("code"), button = document.createElement("button");
    button.type = "button";
    button.className = "second copy";
    button.textContent = "Copy";
    button.setAttribute("aria-describedby", line.querySelector("h3").id);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    line.querySelector("h3").after(button);
  }
})();
