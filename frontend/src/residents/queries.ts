/** What the pages ask about residents, and what they change. */
import { useInfiniteQuery, useQuery } from '@tanstack/vue-query'
import { type Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'

type Schemas = components['schemas']
export type Resident = Schemas['ResidentRead']
export type ResidentEvent = Schemas['ResidentEventRead']
export type Contact = Schemas['Contact']
export type ResidentChange = Partial<
  Pick<Resident, 'full_name' | 'preferred_name' | 'date_of_birth' | 'notes' | 'contacts' | 'home_id' | 'room_id' | 'audio_consent'>
>

const MOST = 500
const PAGE = 30

export function useResidentsOfHome(homeId: Ref<number>) {
  return useQuery({
    queryKey: ['residents', 'home', homeId],
    queryFn: async ({ signal }) => {
      const params = { path: { home_id: homeId.value }, query: { limit: MOST } }
      return (await client.GET('/api/v1/homes/{home_id}/residents', { params, signal })).data ?? []
    },
  })
}

export function useResident(id: Ref<number>) {
  return useQuery({
    queryKey: ['residents', 'one', id],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/residents/{resident_id}', { params: { path: { resident_id: id.value } }, signal })).data!,
  })
}

export function useTimeline(id: Ref<number>) {
  return useInfiniteQuery({
    queryKey: ['timeline', id],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const params = { path: { resident_id: id.value }, query }
      const { data, response } = await client.GET('/api/v1/residents/{resident_id}/events', { params, signal })
      return { events: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
  })
}

export function useNewResident(homeId: Ref<number>) {
  return useChange(
    async (body: { full_name: string; room_id: number | null }) => {
      const params = { path: { home_id: homeId.value } }
      // The hub fills in what is left out, which the generated type cannot say.
      return (await client.POST('/api/v1/homes/{home_id}/residents', { params, body: body as never })).data!
    },
    { touches: ['residents', 'homes', 'rooms'], fields: true },
  )
}

export function useResidentActions(id: Ref<number>) {
  const params = () => ({ path: { resident_id: id.value } })
  return {
    update: useChange(
      async (change: ResidentChange) => {
        await client.PATCH('/api/v1/residents/{resident_id}', { params: params(), body: change as never })
      },
      { touches: ['residents', 'timeline', 'homes', 'rooms'], fields: true },
    ),
    remove: useChange(
      async () => {
        await client.DELETE('/api/v1/residents/{resident_id}', { params: params() })
      },
      { touches: ['residents', 'homes', 'rooms'], gone: true },
    ),
    note: useChange(
      async (text: string) => {
        await client.POST('/api/v1/residents/{resident_id}/events', { params: params(), body: { text } })
      },
      { touches: ['timeline'] },
    ),
  }
}
