// Sets the theme that the reader chose before the page is drawn. Without a choice the system decides.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
