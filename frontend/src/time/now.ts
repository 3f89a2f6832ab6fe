/** The time of day as a reactive value, one timer for the whole page. */
import { ref } from 'vue'

export const now = ref(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1_000)

document.addEventListener('visibilitychange', () => {
  now.value = Date.now()
})
