"""The ONNX operators that a submitted model may be made of, declared as data.

They are those of the standard domain whose outputs follow from their inputs alone, and that
sequence models have a use for. Left out are what draws at random (RandomNormal, Bernoulli, …), what
is made for images, strings or losses, and optional values.
"""

__all__ = ["OLDEST_OPSET", "OPERATORS", "is_standard", "is_taken"]

# From this version of the standard domain on Dropout and BatchNormalization do in evaluation mode
# what they should unless an attribute or input says otherwise, and onnxruntime promises support.
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
_CONTROL = "If Loop Scan"
# Lists of tensors: exporters split tensors into them.
_SEQUENCES = """
    ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SplitToSequence
"""

OPERATORS: frozenset[str] = frozenset(
    " ".join(
        [_ELEMENTWISE, _SHAPES, _REDUCTIONS, _LAYERS, _FOURIER, _INTEGERS, _CONTROL, _SEQUENCES]
    ).split()
)

_OF_RUNTIME = ("ai.onnx", "com.microsoft", "com.ms", "org.pytorch")


def is_standard(domain: str) -> bool:
    """Say whether a domain is ONNX's own, under either of its names."""
    return domain in ("", "ai.onnx")


def is_taken(domain: str) -> bool:
    """Say whether a runtime may have operators of its own in a domain; functions may not."""
    return domain == "" or domain.startswith(_OF_RUNTIME)
