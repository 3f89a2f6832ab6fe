/** Whether the dialog that adds a device is open: it opens from the list, the navigation and the palette. */
import { ref } from 'vue'

export const adding = ref(false)
