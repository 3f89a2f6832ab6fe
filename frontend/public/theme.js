// Runs before the first paint, so that a dark page does not flash white.
;(function () {
  var choice = null
  try {
    choice = localStorage.getItem('roost.theme')
  } catch {
    // Storage can be switched off; the system's preference decides then.
  }
  var dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.toggle('dark', dark)
})()
