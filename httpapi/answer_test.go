package httpapi

import "testing"

// TestAnswersAreNotKept wants the text of an answer to go with the last who has not
// taken it, whether they take it or leave.
func TestAnswersAreNotKept(t *testing.T) {
	all := &sources{byKey: map[string]*source{}}
	at := all.add("")
	taker, leaver := at.sit(), at.sit()
	at.tell(func(now *tidings, seats int) {
		now.answer = &answer{mark: markOf(7, []byte("[]"), false), text: []byte("[]")}
		now.answer.left.Store(int64(seats))
	})
	late := at.sit()
	_, now := taker.look()
	if got := string(now.answer.frame(jsonLines{}).chunk); got != "17\r\n{\"Index\":7,\"Value\":[]}\n\r\n" {
		t.Errorf("a frame: %q", got)
	}
	now.answer.release()
	if now.answer.text == nil {
		t.Error("the text has gone before everybody had it")
	}
	late.stand() // it came after the answer
	if now.answer.text == nil {
		t.Error("the text has gone with one who has it")
	}
	leaver.stand()
	if now.answer.text != nil || now.answer.framed != nil {
		t.Error("the text is kept though everybody has it or has left")
	}
}
