/** What the pages ask about homes, rooms and assignments, and what they change. */
import { keepPreviousData, useInfiniteQuery, useQueries, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useChange } from '@/api/changing'
import { client } from '@/api/client'
import type { components } from '@/api/schema'
import { loadMe, may, session } from '@/api/session'

type Schemas = components['schemas']
export type Home = Schemas['HomeRead']
export type Room = Schemas['RoomRead']
export type Assignment = Schemas['AssignmentRead']
export type HomeFields = { name: string; address: string | null; timezone: string | null }

const PAGE = 50
const MOST = 500
const EVERYTHING = ['homes', 'rooms', 'residents', 'devices', 'assignments']

export function useHomeList(filter: Ref<{ q?: string; organization_id?: number }>) {
  return useInfiniteQuery({
    queryKey: ['homes', 'list', filter],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...filter.value, limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }
      const { data, response } = await client.GET('/api/v1/homes', { params: { query }, signal })
      return { homes: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

export interface HomeChoice {
  id: number
  name: string
  organization_id: number
}

/** Homes to choose from. Technicians may not read homes: theirs stand in their profile. */
export function useHomeChoices() {
  const reads = computed(() => may('homes:read'))
  const query = useQuery({
    queryKey: ['homes', 'choices'],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/homes', { params: { query: { limit: MOST } }, signal })).data ?? [],
    enabled: reads,
  })
  const homes = computed<HomeChoice[]>(() => {
    const own = session.me?.homes ?? []
    const read = query.data.value ?? []
    return [...read, ...own.filter(({ id }) => !read.some((home) => home.id === id))]
  })
  return { homes, isPending: computed(() => reads.value && query.isPending.value) }
}

export function useHome(id: Ref<number>) {
  return useQuery({
    queryKey: ['homes', 'one', id],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/homes/{home_id}', { params: { path: { home_id: id.value } }, signal })).data!,
  })
}

export function useRooms(homeId: Ref<number | null>) {
  return useQuery({
    queryKey: ['rooms', homeId],
    queryFn: ({ signal }) => roomsOf(homeId.value!, signal),
    enabled: computed(() => homeId.value !== null),
  })
}

/** The names of rooms of several homes, by the room's id. */
export function useRoomNames(homeIds: Ref<number[]>) {
  return useQueries({
    queries: computed(() =>
      homeIds.value.map((id) => ({
        queryKey: ['rooms', id],
        queryFn: ({ signal }: { signal: AbortSignal }) => roomsOf(id, signal),
        staleTime: 60_000,
      })),
    ),
    combine: (answers) => new Map(answers.flatMap(({ data }) => (data ?? []).map((room) => [room.id, room.name] as const))),
  })
}

async function roomsOf(homeId: number, signal: AbortSignal): Promise<{ id: number; name: string }[]> {
  if (!may('homes:read') || (await isAssigned(homeId))) {
    const { data } = await client.GET('/api/v1/assignments', { params: { query: { limit: MOST } }, signal })
    return data?.find(({ home_id }) => home_id === homeId)?.home.rooms ?? []
  }
  const params = { path: { home_id: homeId }, query: { limit: MOST } }
  return (await client.GET('/api/v1/homes/{home_id}/rooms', { params, signal })).data ?? []
}

/** In some organization a technician, in another one something else: homes of the first cannot be read as homes. */
async function isAssigned(homeId: number): Promise<boolean> {
  const home = session.me?.homes.find(({ id }) => id === homeId)
  return session.me?.organizations.find(({ id }) => id === home?.organization_id)?.role === 'technician'
}

export function useRoomsInFull(homeId: Ref<number>) {
  return useQuery({
    queryKey: ['rooms', 'full', homeId],
    queryFn: async ({ signal }) => {
      const params = { path: { home_id: homeId.value }, query: { limit: MOST } }
      return (await client.GET('/api/v1/homes/{home_id}/rooms', { params, signal })).data ?? []
    },
  })
}

export function useDevicesOfHome(homeId: Ref<number>) {
  return useQuery({
    queryKey: ['devices', 'home', homeId],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/devices', { params: { query: { home_id: homeId.value, limit: MOST } }, signal })).data ?? [],
  })
}

/** Without a filter, the caller's own. */
export function useAssignments(filter: Ref<{ home_id?: number }>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: ['assignments', filter],
    queryFn: async ({ signal }) =>
      (await client.GET('/api/v1/assignments', { params: { query: { ...filter.value, limit: MOST } }, signal })).data ?? [],
    enabled,
  })
}

export function useNewHome() {
  return useChange(
    async (body: HomeFields & { organization_id?: number }) => {
      const { data } = await client.POST('/api/v1/homes', { body })
      await loadMe()
      return data!
    },
    { touches: EVERYTHING, fields: true },
  )
}

export function useHomeActions(id: Ref<number>) {
  const params = computed(() => ({ path: { home_id: id.value } }))
  const room = (room_id: number) => ({ path: { home_id: id.value, room_id } })
  return {
    update: useChange(
      async (body: HomeFields) => {
        await client.PATCH('/api/v1/homes/{home_id}', { params: params.value, body })
        await loadMe()
      },
      { touches: EVERYTHING, fields: true },
    ),
    remove: useChange(
      async () => {
        await client.DELETE('/api/v1/homes/{home_id}', { params: params.value })
        await loadMe()
      },
      { touches: EVERYTHING, gone: true },
    ),
    transfer: useChange(
      async (organization_id: number) => {
        await client.POST('/api/v1/homes/{home_id}/transfer', { params: params.value, body: { organization_id } })
        await loadMe()
      },
      { touches: [...EVERYTHING, 'organizations'] },
    ),
    addRoom: useChange(
      async (name: string) =>
        (await client.POST('/api/v1/homes/{home_id}/rooms', { params: params.value, body: { name } })).data!,
      { touches: EVERYTHING, fields: true },
    ),
    renameRoom: useChange(
      async (change: { id: number; name: string }) => {
        await client.PATCH('/api/v1/homes/{home_id}/rooms/{room_id}', { params: room(change.id), body: { name: change.name } })
      },
      { touches: EVERYTHING, fields: true },
    ),
    removeRoom: useChange(
      async (room_id: number) => {
        await client.DELETE('/api/v1/homes/{home_id}/rooms/{room_id}', { params: room(room_id) })
      },
      { touches: EVERYTHING },
    ),
    assign: useChange(
      async (user_id: number) => {
        await client.POST('/api/v1/assignments', { body: { user_id, home_id: id.value } })
      },
      { touches: ['assignments', 'members'] },
    ),
    dismiss: useChange(
      async (assignment_id: number) => {
        await client.DELETE('/api/v1/assignments/{assignment_id}', { params: { path: { assignment_id } } })
      },
      { touches: ['assignments', 'members'] },
    ),
  }
}

/** Puts devices somewhere else, within their organization or beyond it. */
export function useDevicePlacing() {
  return {
    move: useChange(
      async ({ id, home_id, room_id }: { id: number; home_id: number | null; room_id: number | null }) => {
        const params = { path: { device_id: id } }
        // What is not named stays as it is, which the generated type cannot say.
        await client.PATCH('/api/v1/devices/{device_id}', { params, body: { home_id, room_id } as never })
      },
      { touches: ['devices', 'homes', 'rooms'] },
    ),
    transfer: useChange(
      async ({ id, organization_id, home_id }: { id: number; organization_id: number; home_id: number | null }) => {
        const params = { path: { device_id: id } }
        await client.POST('/api/v1/devices/{device_id}/transfer', { params, body: { organization_id, home_id } })
      },
      { touches: ['devices', 'homes', 'rooms'] },
    ),
  }
}
