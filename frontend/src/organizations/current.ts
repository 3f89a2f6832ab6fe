/** Which organization the lists are about: one, or all of them (null). Each browser remembers it for each account. */
import { computed, ref, watch } from 'vue'
import { session } from '@/api/session'

const KEY = 'roost.organization'
const chosen = ref<number | null>(null)

watch(
  () => session.me?.id,
  (id) => (chosen.value = id === undefined ? null : remembered(id)),
  { immediate: true },
)

const everywhere = computed(() => Boolean(session.me?.roles.some((role) => role === 'admin' || role === 'staff')))

export const currentOrganization = computed<number | null>({
  get: () => {
    const known = everywhere.value || session.me?.organizations.some(({ id }) => id === chosen.value)
    return known ? chosen.value : null
  },
  set: (id) => {
    chosen.value = id
    try {
      const key = `${KEY}.${session.me?.id}`
      if (id === null) localStorage.removeItem(key)
      else localStorage.setItem(key, String(id))
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  },
})

/** What a list request carries so that it is about that organization alone. */
export const ofOrganization = computed(() =>
  currentOrganization.value === null ? {} : { organization_id: currentOrganization.value },
)

/** The organization in which something new is made: the chosen one, or the only one. */
export const organizationForNew = computed<number | null>(() => {
  if (currentOrganization.value !== null) return currentOrganization.value
  const own = session.me?.organizations ?? []
  return own.length === 1 ? own[0]!.id : null
})

function remembered(userId: number): number | null {
  try {
    const id = Number(localStorage.getItem(`${KEY}.${userId}`))
    return id > 0 ? id : null
  } catch {
    return null
  }
}
