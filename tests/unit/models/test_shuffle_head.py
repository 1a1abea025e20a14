import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from colour_demosaicing import demosaicing_CFA_Bayer_Malvar2004

from edge_pipeline.models.layers.shuffle_head import ShuffleHead, compress, expand
from edge_pipeline.raw.cfa import pack


def test_starts_as_malvars_demosaic():
    mosaic = np.random.default_rng(0).random((32, 48)).astype(np.float32)
    packed = torch.from_numpy(pack(mosaic))[None]
    got = F.pixel_shuffle(ShuffleHead(4, 3).linear(packed), 2)[0].detach().numpy()
    expected = demosaicing_CFA_Bayer_Malvar2004(mosaic, "RGGB").transpose(2, 0, 1)
    np.testing.assert_allclose(got[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4], atol=1e-6)


def test_expand_undoes_compress_down_to_the_offset():
    x = torch.linspace(-1 / 64, 1.5, 100)
    torch.testing.assert_close(expand(compress(x)), x, atol=1e-6, rtol=0)
    assert compress(torch.tensor(-1.0)) == 0


def test_other_channel_counts_work():
    head = ShuffleHead(3, 2)
    assert head(torch.rand(1, 3, 4, 6), torch.zeros(1, 8, 4, 6)).shape == (1, 2, 8, 12)
