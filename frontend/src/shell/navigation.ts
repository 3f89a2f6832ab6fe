/** Where one can go: for the side, the drawer and the palette. What an account may not see is not offered. */
import { Building2, ChartSpline, Gauge, HardDrive, Hourglass, House, Houses, ListTodo, MapPinHouse, ScrollText, UserRound, Users } from '@lucide/vue'
import { computed, type Component } from 'vue'
import { may, session } from '@/api/session'
import { currentOrganization } from '@/organizations/current'

export interface Place {
  to: string
  label: string
  icon: Component
}

export interface PlaceGroup {
  /** The first group has no heading. */
  name?: string
  places: Place[]
}

const technician = computed(() => session.me?.organizations.some(({ role }) => role === 'technician') ?? false)
const organizations = computed(() => session.me?.organizations ?? [])

function organizationPlace(): Place[] {
  const only = currentOrganization.value ?? (organizations.value.length === 1 && !may('ops:read') ? organizations.value[0]!.id : null)
  return only === null
    ? [{ to: '/organizations', label: 'Organizations', icon: Building2 }]
    : [{ to: `/organizations/${only}`, label: 'Organization', icon: Building2 }]
}

/** Owners read that of their organizations, the installation's staff all of it. */
const auditLog: Place = { to: '/audit', label: 'Audit log', icon: ScrollText }

export const navigation = computed<PlaceGroup[]>(() =>
  [
    {
      places: [
        { to: '/devices', label: 'Devices', icon: HardDrive },
        ...(may('telemetry:read') ? [{ to: '/trends', label: 'Trends', icon: ChartSpline }] : []),
        ...(may('tasks:read') ? [{ to: '/tasks', label: 'Tasks', icon: ListTodo }] : []),
        ...(may('homes:read') ? [{ to: '/homes', label: 'Homes', icon: House }] : []),
        ...(technician.value ? [{ to: '/assignments', label: 'My assignments', icon: MapPinHouse }] : []),
        { to: '/account', label: 'Account', icon: UserRound },
      ],
    },
    {
      name: 'Manage',
      places: [
        ...organizationPlace(),
        ...(may('users:read') ? [{ to: '/users', label: 'Users', icon: Users }] : []),
        ...(may('organization:read') && !may('ops:read') ? [auditLog] : []),
      ],
    },
    {
      name: 'Installation',
      places: may('ops:read')
        ? [{ to: '/ops', label: 'Overview', icon: Gauge }, { to: '/ops/houses', label: 'Houses', icon: Houses }, { to: '/ops/retention', label: 'Retention', icon: Hourglass }, auditLog]
        : [],
    },
  ].filter(({ places }) => places.length > 0),
)
