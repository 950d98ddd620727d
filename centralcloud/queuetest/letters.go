package queuetest

import (
	"encoding/json"

	"singularity/centralcloud"
)

var letterStories = []story{
	{"letters/are shown with what befell them, and stay", lettersStay},
	{"letters/go back to where they came from, as they were", lettersGoBack},
	{"letters/that nobody can place are not sent", lettersNoSender},
}

// bury has a message with headers of its own become a dead letter.
func (f *fixture) bury() {
	f.Helper()
	_, err := f.Send(f.Context(), jobs, centralcloud.Draft{Body: json.RawMessage(`1`), Headers: json.RawMessage(`{"trace": "x"}`)})
	f.must(err)
	f.round(f.consumer(), centralcloud.Round{Buried: 1}, poisoned(1, centralcloud.ErrBadMessage))
}

// letter is the only dead letter.
func (f *fixture) letter() centralcloud.Letter {
	f.Helper()
	letters, err := centralcloud.Letters(f.Context(), f.Queue, dead, 10)
	f.must(err)
	if len(letters) != 1 {
		f.Fatalf("letters %+v, want one", letters)
	}
	return letters[0]
}

func lettersStay(f *fixture) {
	f.bury()
	for range 2 {
		letter := f.letter()
		if letter.String() != "dead_jobs/1" || letter.Why.From != jobs || letter.Why.ID != 1 || letter.Why.Error == "" || string(letter.Message.Body) != "1" {
			f.Errorf("letter %s is %+v", letter, letter.Why)
		}
	}
}

func lettersGoBack(f *fixture) {
	f.bury()
	letter := f.letter()
	for i, want := range []bool{true, false} {
		if sent, err := letter.SendAgain(f.Context(), f.Queue); err != nil || sent != want {
			f.Errorf("sent the letter for the %d. time: %t, %v; want %t", i+1, sent, err, want)
		}
	}
	f.want("dead", f.read(dead, 10))
	back := f.messages(jobs, 10)
	if len(back) != 1 || back[0].Reads != 1 || string(back[0].Body) != "1" || !sameJSON(f, back[0].Headers, json.RawMessage(`{"trace": "x"}`)) {
		f.Errorf("messages that are back: %+v", back)
	}
}

func lettersNoSender(f *fixture) {
	f.create(dead)
	for _, headers := range []json.RawMessage{nil, json.RawMessage(`{"from": 7}`), json.RawMessage(`{"trace": "x"}`)} {
		_, err := f.Send(f.Context(), dead, centralcloud.Draft{Body: json.RawMessage(`1`), Headers: headers})
		f.must(err)
		letter := f.letter()
		if sent, err := letter.SendAgain(f.Context(), f.Queue); err == nil || sent {
			f.Errorf("with the headers %s it was sent: %t, %v", headers, sent, err)
		}
		_, err = f.Delete(f.Context(), dead, letter.Message.ID)
		f.must(err)
	}
}
