// Package contentsuite runs containerd's own content store test suite against ipcsd, through containerd's proxy
// client: directly, and below containerd's metadata store, as containerd itself uses a proxy plugin.
package contentsuite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/content/testsuite"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	bolt "go.etcd.io/bbolt"

	"ipcs/tests/peers/internal/process"
)

const (
	casesOfProxy    = 12
	casesOfMetadata = 16
)

// expect fails the test unless `want` cases ran. Each case passes through the factory of its store exactly once.
func expect(t *testing.T, ran *atomic.Int64, want int64) {
	t.Helper()
	if got := ran.Load(); got != want {
		t.Errorf("%d of %d cases ran (a -run pattern that selects single cases fails here by design)", got, want)
	}
}

func TestProxy(t *testing.T) {
	ipcsd := process.Ipcsd(t)
	var ran atomic.Int64
	testsuite.ContentSuite(t, "ipcsd", func(ctx context.Context, _ string) (context.Context, content.Store, func() error, error) {
		ran.Add(1)
		daemon := process.Start(t, ipcsd)
		// containerd always names a namespace; the suite alone would send none.
		ctx = namespaces.WithNamespace(ctx, "testing")
		return ctx, proxy.NewContentStore(daemon.Conn), func() error { daemon.Stop(); return nil }, nil
	})
	expect(t, &ran, casesOfProxy)
}

func TestMetadata(t *testing.T) {
	ipcsd := process.Ipcsd(t)
	var ran atomic.Int64
	factory := func(options ...metadata.DBOpt) testsuite.StoreInitFn {
		return func(ctx context.Context, root string) (context.Context, content.Store, func() error, error) {
			ran.Add(1)
			daemon := process.Start(t, ipcsd)
			db, err := bolt.Open(filepath.Join(root, "metadata.db"), 0o660, nil)
			if err != nil {
				return nil, nil, nil, err
			}
			ctx = testsuite.SetContextWrapper(ctx, namespaceOfItsOwn(db, testsuite.Name(ctx)))
			store := metadata.NewDB(db, proxy.NewContentStore(daemon.Conn), nil, options...).ContentStore()
			return ctx, store, func() error { daemon.Stop(); return db.Close() }, nil
		}
	}
	testsuite.ContentSuite(t, "metadata", factory())
	testsuite.ContentCrossNSSharedSuite(t, "metadata", factory())
	testsuite.ContentCrossNSIsolatedSuite(t, "metadata", factory(metadata.WithPolicyIsolated))
	testsuite.ContentSharedNSIsolatedSuite(t, "metadata", factory(metadata.WithPolicyIsolated))
	expect(t, &ran, casesOfMetadata)
}

// namespaceOfItsOwn gives each context of a case a new namespace, shared with others when the case asks for it.
func namespaceOfItsOwn(db *bolt.DB, name string) testsuite.ContextWrapper {
	var number atomic.Uint64
	return func(ctx context.Context, shared bool) (context.Context, func(context.Context) error, error) {
		namespace := fmt.Sprintf("%s-%d", name, number.Add(1))
		ctx = namespaces.WithNamespace(ctx, namespace)
		if shared {
			err := db.Update(func(tx *bolt.Tx) error {
				return metadata.NewNamespaceStore(tx).SetLabel(ctx, namespace, labels.LabelSharedNamespace, "true")
			})
			if err != nil {
				return nil, nil, err
			}
		}
		return ctx, func(context.Context) error { return nil }, nil
	}
}
