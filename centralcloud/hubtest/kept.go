package hubtest

import "singularity/centralcloud"

// Kept is what a hub keeps of rows: of each key the newest, in whatever
// order they come, and however often.
func Kept(rows []centralcloud.Row) map[centralcloud.Key]centralcloud.Row {
	kept := map[centralcloud.Key]centralcloud.Row{}
	for _, row := range rows {
		if row.Newer(kept[row.Key]) {
			kept[row.Key] = row
		}
	}
	return kept
}
