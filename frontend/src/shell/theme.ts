/** Light, dark, or as the system has it. */
import { ref, watch } from 'vue'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'roost.theme'
const system = matchMedia('(prefers-color-scheme: dark)')

function stored(): Theme {
  try {
    const choice = localStorage.getItem(KEY)
    return choice === 'light' || choice === 'dark' ? choice : 'system'
  } catch {
    return 'system'
  }
}

export const theme = ref<Theme>(stored())
export const dark = ref(false)

function apply(): void {
  dark.value = theme.value === 'dark' || (theme.value === 'system' && system.matches)
  document.documentElement.classList.toggle('dark', dark.value)
  document.querySelector('meta[name="theme-color"]')?.setAttribute('content', dark.value ? '#0c0f11' : '#ffffff')
}

watch(theme, (choice) => {
  try {
    localStorage.setItem(KEY, choice)
  } catch {
    // Not kept then; it still holds for this page.
  }
  apply()
})
system.addEventListener('change', apply)
apply()
