"""The ONNX operators that a submitted model may consist of.

They are those of the standard domain whose outputs are determined by their inputs, and that
sequence models use. Left out are random operators (RandomNormal, Bernoulli, …), operators for
images, strings or losses, and optional values.
"""

__all__ = ["CONTROL", "OLDEST_OPSET", "OPERATORS", "is_reserved", "is_standard"]

# From this version of the standard domain on, Dropout and BatchNormalization are in evaluation mode
# unless an attribute or input sets training mode, and onnxruntime guarantees support.
OLDEST_OPSET = 7

_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater
    GreaterOrEqual HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log
    LogSoftmax Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink
    Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh
    ThresholdedRelu Where Xor
"""
_SHAPES = """
    Compress Concat Constant ConstantOfShape Expand EyeLike Flatten Gather GatherElements GatherND
    NonZero OneHot Pad Range Reshape ReverseSequence Scatter ScatterElements ScatterND Shape Size
    Slice Split Squeeze TensorScatter Tile TopK Transpose Trilu Unique Unsqueeze
"""
_REDUCTIONS = """
    ArgMax ArgMin CumProd CumSum ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare
"""
_LAYERS = """
    Attention AveragePool BatchNormalization CausalConvWithState Conv ConvTranspose Dropout Einsum
    GRU Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization
    LSTM LayerNormalization LinearAttention LpNormalization LpPool MatMul MaxPool RMSNormalization
    RNN RotaryEmbedding
"""
_FOURIER = "BlackmanWindow DFT HammingWindow HannWindow STFT"
_INTEGERS = """
    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul
    QuantizeLinear
"""
# These contain graphs.
CONTROL = ("If", "Loop", "Scan")
# Lists of tensors: exporters split tensors into them.
_SEQUENCES = """
    ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SplitToSequence
"""

OPERATORS: frozenset[str] = frozenset(
    " ".join(
        [_ELEMENTWISE, _SHAPES, _REDUCTIONS, _LAYERS, _FOURIER, _INTEGERS, *CONTROL, _SEQUENCES]
    ).split()
)

_OF_RUNTIME = ("ai.onnx", "com.microsoft", "com.ms", "org.pytorch")


def is_standard(domain: str) -> bool:
    """Return whether a domain is ONNX's own, under either of its names."""
    return domain in ("", "ai.onnx")


def is_reserved(domain: str) -> bool:
    """Return whether a domain is reserved for operators, so that no function may use it."""
    return domain == "" or domain.startswith(_OF_RUNTIME)
