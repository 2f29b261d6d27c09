package check

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
)

func newWeb(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
		io.WriteString(w, "said")
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/status/200", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 5000)+"end") })
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/hang-in-body", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s host=%s agent=%s accept=%s probe=%s close=%v length=%d body=%s", r.Method, r.Host,
			r.UserAgent(), r.Header["Accept"], r.Header["X-Probe"], r.Close, r.ContentLength, body)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	web := newWeb(t)
	host := strings.TrimPrefix(web.URL, "http://")
	for _, c := range []struct {
		name, body string
		want       Result
	}{
		{"200", `{"HTTP":"URL/status/200"}`, Result{api.Passing, "HTTP GET URL/status/200: 200 OK Output: said"}},
		{"204", `{"HTTP":"URL/status/204"}`, Result{api.Passing, "HTTP GET URL/status/204: 204 No Content Output: "}},
		{"299", `{"HTTP":"URL/status/299"}`, Result{api.Passing, "HTTP GET URL/status/299: 299 status code 299 Output: said"}},
		{"429", `{"HTTP":"URL/status/429"}`, Result{api.Warning, "HTTP GET URL/status/429: 429 Too Many Requests Output: said"}},
		{"404", `{"HTTP":"URL/status/404"}`, Result{api.Critical, "HTTP GET URL/status/404: 404 Not Found Output: said"}},
		{"500", `{"HTTP":"URL/status/500"}`, Result{api.Critical, "HTTP GET URL/status/500: 500 Internal Server Error Output: said"}},
		{"302", `{"HTTP":"URL/redirect"}`, Result{api.Passing, "HTTP GET URL/redirect: 200 OK Output: said"}},
		{"302, not followed", `{"HTTP":"URL/redirect","DisableRedirects":true}`, Result{api.Critical, "HTTP GET URL/redirect: 302 Found Output: …"}},
		{"the end of a long body", `{"HTTP":"URL/long","OutputMaxSize":5}`, Result{api.Passing, "HTTP GET URL/long: 200 OK Output: xxend"}},
		{"head", `{"HTTP":"URL/status/200","Method":"HEAD"}`, Result{api.Passing, "HTTP HEAD URL/status/200: 200 OK Output: "}},
		{"what is sent", `{"HTTP":"URL/echo"}`, Result{api.Passing, "HTTP GET URL/echo: 200 OK Output: GET host=" + host +
			" agent=Consul Health Check accept=[text/plain, text/*, */*] probe=[] close=true length=0 body="}},
		{"what can be sent", `{"HTTP":"URL/echo","Method":"PUT","Body":"{}","Header":{"x-probe":["1","2"],"Host":["other"],"user-agent":["me"],"ACCEPT":["a/b"]}}`,
			Result{api.Passing, "HTTP PUT URL/echo: 200 OK Output: PUT host=other agent=me accept=[a/b] probe=[1 2] close=true length=2 body={}"}},
		{"timeout", `{"HTTP":"URL/hang","Timeout":"50ms"}`, Result{api.Critical, `Get "URL/hang": context deadline exceeded`}},
		{"timeout in the body", `{"HTTP":"URL/hang-in-body","Timeout":"500ms"}`, Result{api.Passing, "HTTP GET URL/hang-in-body: 200 OK Output: begun"}},
		{"nobody there", `{"HTTP":"http://127.0.0.1:1/"}`, Result{api.Critical, `Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused`}},
		{"bad URL", `{"HTTP":"http://%zz/"}`, Result{api.Critical, `parse "http://%zz/": invalid …`}},
		{"bad scheme", `{"HTTP":"fluff://h/"}`, Result{api.Critical, `Get "fluff://h/": unsupported protocol scheme "fluff"`}},
		{"bad method", `{"HTTP":"URL/","Method":"A B"}`, Result{api.Critical, `net/http: invalid method "A B"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.want.Output = strings.ReplaceAll(c.want.Output, "URL", web.URL)
			wantResult(t, c.body, look(t, strings.ReplaceAll(c.body, "URL", web.URL), Options{}), c.want)
		})
	}
}

func TestHTTPAgent(t *testing.T) {
	web := newWeb(t)
	got := look(t, `{"HTTP":"`+web.URL+`/echo"}`, Options{UserAgent: "Watcher/1"})
	if !strings.Contains(got.Output, "agent=Watcher/1 ") {
		t.Errorf("got %+v, want agent=Watcher/1", got)
	}
}

func TestHTTPS(t *testing.T) {
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
	defer web.Close()
	web.Config.ErrorLog = discardLog()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	known := Options{TLS: &tls.Config{RootCAs: roots}}
	for _, c := range []struct {
		name, body string
		opts       Options
		want       Result
	}{
		{"unknown authority", `{"HTTP":"URL"}`, Options{}, Result{api.Critical, `Get "URL": tls: failed to verify certificate: x509: …`}},
		{"not verified", `{"HTTP":"URL","TLSSkipVerify":true}`, Options{}, Result{api.Passing, "HTTP GET URL: 200 OK Output: "}},
		{"known authority", `{"HTTP":"URL"}`, known, Result{api.Passing, "HTTP GET URL: 200 OK Output: "}},
		{"named", `{"HTTP":"URL","TLSServerName":"example.com"}`, known, Result{api.Passing, "HTTP GET URL: 200 OK Output: example.com"}},
		{"wrongly named", `{"HTTP":"URL","TLSServerName":"other.example"}`, known,
			Result{api.Critical, `Get "URL": tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not other.example`}},
	} {
		c.want.Output = strings.ReplaceAll(c.want.Output, "URL", web.URL)
		wantResult(t, c.name, look(t, strings.ReplaceAll(c.body, "URL", web.URL), c.opts), c.want)
	}
	if known.TLS.ServerName != "" || known.TLS.InsecureSkipVerify {
		t.Errorf("the options were changed: %+v", known.TLS)
	}
}

// TestHTTPSharesTransports holds the cost of a thousand checks down.
func TestHTTPSharesTransports(t *testing.T) {
	transport := func(body string) http.RoundTripper {
		c, err := New(define(t, body), FromAPI, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.(*periodic).prober.(*httpProbe).client.Transport
	}
	a, b := transport(`{"HTTP":"http://a/","Method":"PUT"}`), transport(`{"HTTP":"http://b/","DisableRedirects":true}`)
	if a != b {
		t.Error("two plain checks have transports of their own, want one for both")
	}
	if other := transport(`{"HTTP":"https://b/","TLSSkipVerify":true}`); other == a {
		t.Error("a check that does not verify shares the transport of those that do")
	}
}

// TestHTTPRuns looks at a whole check: results come until the context ends.
func TestHTTPRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan string, 3)
		for _, a := range []string{"one", "two", "three"} {
			answers <- a
		}
		c, err := New(define(t, `{"HTTP":"http://h/","Interval":"5s"}`), FromAPI, Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.(*periodic).prober.(*httpProbe).client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader(<-answers)), Request: r}, nil
		})
		during(t, c, func(results <-chan Result) {
			for _, want := range []string{"one", "two", "three"} {
				got := <-results
				if diff := gocmp.Diff("HTTP GET http://h/: 200 OK Output: "+want, got.Output); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// BenchmarkHTTPProbe is the cost of one request, both sides.
func BenchmarkHTTPProbe(b *testing.B) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }))
	defer web.Close()
	c, err := New(define(b, `{"HTTP":"`+web.URL+`"}`), FromAPI, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := c.(*periodic).look(b.Context()); r.Status != api.Passing {
			b.Fatalf("got %+v", r)
		}
	}
}
