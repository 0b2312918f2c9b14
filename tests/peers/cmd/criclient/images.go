package main

import (
	"context"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// addImageVerbs adds the verbs of the image service.
func (c *client) addImageVerbs() {
	c.handlers["pull"] = verb{[]string{"REFERENCE"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.images.PullImage(ctx, &cri.PullImageRequest{Image: image(a[0])})
	}}
	c.handlers["images"] = verb{nil, func(ctx context.Context, _ []string) (proto.Message, error) {
		return c.images.ListImages(ctx, &cri.ListImagesRequest{})
	}}
	c.handlers["image"] = verb{[]string{"IMAGE"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: image(a[0]), Verbose: true})
	}}
	c.handlers["remove-image"] = verb{[]string{"IMAGE"}, func(ctx context.Context, a []string) (proto.Message, error) {
		return c.images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: image(a[0])})
	}}
}

// image names an image: by id, by tag or by digest.
func image(name string) *cri.ImageSpec {
	return &cri.ImageSpec{Image: name}
}
