/** Where a new device belongs. What is null is left to the hub. */
import { organizationForNew } from '@/organizations/current'

export interface Place {
  organization_id: number | null
  home_id: number | null
  room_id: number | null
}

export const nowhere = (): Place => ({ organization_id: organizationForNew.value, home_id: null, room_id: null })
