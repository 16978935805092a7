"""The bibliography: every paper that a schedule, law or rule names in ``paper``."""

from __future__ import annotations

import re
from typing import NamedTuple


class Work(NamedTuple):
    """A paper on arXiv, and where else it appeared."""

    authors: str
    title: str
    year: int
    booktitle: str = ""
    journal: str = ""

    @property
    def surnames(self) -> list[str]:
        """The authors' surnames in ASCII letters."""
        return [re.sub(r"[^A-Za-z-]", "", author.split()[-1]) for author in self.authors.split(" and ")]

    @property
    def short(self) -> str:
        """The paper in one line, for display."""
        names = self.surnames
        who = " and ".join(names) if len(names) < 3 and names[-1] != "others" else f"{names[0]} et al."
        return f"{who} ({self.year}), {self.title}"


_ICLR = "International Conference on Learning Representations (ICLR)"
_NEURIPS = "Advances in Neural Information Processing Systems (NeurIPS)"
_CVPR = "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)"

# By arXiv number.
WORKS: dict[str, Work] = {
    "1506.01186": Work(
        "Leslie N. Smith",
        "Cyclical Learning Rates for Training Neural Networks",
        2017,
        booktitle="IEEE Winter Conference on Applications of Computer Vision (WACV)",
    ),
    "1512.03385": Work(
        "Kaiming He and Xiangyu Zhang and Shaoqing Ren and Jian Sun",
        "Deep Residual Learning for Image Recognition",
        2016,
        booktitle=_CVPR,
    ),
    "1608.03983": Work(
        "Ilya Loshchilov and Frank Hutter",
        "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017,
        booktitle=_ICLR,
    ),
    "1703.04782": Work(
        "Atilim Gunes Baydin and Robert Cornish and David Martinez Rubio and Mark Schmidt and Frank Wood",
        "Online Learning Rate Adaptation with Hypergradient Descent",
        2018,
        booktitle=_ICLR,
    ),
    "1706.03762": Work(
        "Ashish Vaswani and Noam Shazeer and Niki Parmar and Jakob Uszkoreit and Llion Jones and Aidan N. Gomez and "
        r"{\L}ukasz Kaiser and Illia Polosukhin",
        "Attention Is All You Need",
        2017,
        booktitle=_NEURIPS,
    ),
    "1706.02677": Work(
        r"Priya Goyal and Piotr Doll{\'a}r and Ross Girshick and Pieter Noordhuis and Lukasz Wesolowski and "
        "Aapo Kyrola and Andrew Tulloch and Yangqing Jia and Kaiming He",
        "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        2017,
    ),
    "1708.07120": Work(
        "Leslie N. Smith and Nicholay Topin",
        "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
        2017,
    ),
    "1711.05101": Work(
        "Ilya Loshchilov and Frank Hutter", "Decoupled Weight Decay Regularization", 2019, booktitle=_ICLR
    ),
    "1812.06162": Work(
        "Sam McCandlish and Jared Kaplan and Dario Amodei and {OpenAI Dota Team}",
        "An Empirical Model of Large-Batch Training",
        2018,
    ),
    "1903.09900": Work(
        "Andrew Hundt and Varun Jain and Gregory D. Hager",
        "sharpDARTS: Faster and More Accurate Differentiable Architecture Search",
        2019,
    ),
    "1908.03265": Work(
        "Liyuan Liu and Haoming Jiang and Pengcheng He and Weizhu Chen and Xiaodong Liu and Jianfeng Gao and "
        "Jiawei Han",
        "On the Variance of the Adaptive Learning Rate and Beyond",
        2020,
        booktitle=_ICLR,
    ),
    "1910.04209": Work(
        "Jerry Ma and Denis Yarats",
        "On the Adequacy of Untuned Warmup for Adaptive Optimization",
        2021,
        booktitle="AAAI Conference on Artificial Intelligence",
    ),
    "2001.08361": Work(
        "Jared Kaplan and Sam McCandlish and Tom Henighan and Tom B. Brown and Benjamin Chess and Rewon Child"
        " and Scott Gray and Alec Radford and Jeffrey Wu and Dario Amodei",
        "Scaling Laws for Neural Language Models",
        2020,
    ),
    "2012.13628": Work(
        "Ahmadreza Jeddi and Mohammad Javad Shafiee and Alexander Wong",
        "A Simple Fine-tuning Is All You Need: Towards Robust Deep Learning Via Adversarial Fine-tuning",
        2020,
    ),
    "2105.10762": Work(
        "Yuchen Jin and Tianyi Zhou and Liangyu Zhao and Yibo Zhu and Chuanxiong Guo and Marco Canini and "
        "Arvind Krishnamurthy",
        "AutoLRS: Automatic Learning-Rate Schedule by Bayesian Optimization on the Fly",
        2021,
        booktitle=_ICLR,
    ),
    "2106.04560": Work(
        "Xiaohua Zhai and Alexander Kolesnikov and Neil Houlsby and Lucas Beyer",
        "Scaling Vision Transformers",
        2022,
        booktitle=_CVPR,
    ),
    "2107.04197": Work(
        "John Chen and Cameron Wolfe and Anastasios Kyrillidis",
        "REX: Revisiting Budgeted Training with an Improved Schedule",
        2022,
        booktitle="Conference on Machine Learning and Systems (MLSys)",
    ),
    "2306.07179": Work("George E. Dahl and others", "Benchmarking Neural Network Training Algorithms", 2023),
    "2308.04014": Work(
        r"Kshitij Gupta and Benjamin Th{\'e}rien and Adam Ibrahim and Mats L. Richter and Quentin Anthony and "
        r"Eugene Belilovsky and Irina Rish and Timoth{\'e}e Lesort",
        "Continual Pre-Training of Large Language Models: How to (re)warm your model?",
        2023,
    ),
    "2310.07831": Work(
        "Aaron Defazio and Ashok Cutkosky and Harsh Mehta and Konstantin Mishchenko",
        "When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
        2023,
    ),
    "2401.02954": Work("{DeepSeek-AI}", "DeepSeek LLM: Scaling Open-Source Language Models with Longtermism", 2024),
    "2403.08763": Work(
        r"Adam Ibrahim and Benjamin Th{\'e}rien and Kshitij Gupta and Mats L. Richter and Quentin Anthony and "
        r"Timoth{\'e}e Lesort and Eugene Belilovsky and Irina Rish",
        "Simple and Scalable Strategies to Continually Pre-train Large Language Models",
        2024,
        journal="Transactions on Machine Learning Research",
    ),
    "2404.06395": Work(
        "Shengding Hu and Yuge Tu and Xu Han and Chaoqun He and Ganqu Cui and Xiang Long and Zhi Zheng and "
        "Yewei Fang and Yuxiang Huang and Weilin Zhao and Xinrong Zhang and Zheng Leng Thai and Kaihuo Zhang "
        "and Chongyi Wang and Yuan Yao and Chenyang Zhao and Jie Zhou and Jie Cai and Zhongwu Zhai and Ning "
        "Ding and Chao Jia and Guoyang Zeng and Dahai Li and Zhiyuan Liu and Maosong Sun",
        "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies",
        2024,
        booktitle="Conference on Language Modeling (COLM)",
    ),
    "2405.18392": Work(
        r"Alexander H{\"a}gele and Elie Bakouch and Atli Kosson and Loubna Ben Allal and Leandro Von Werra and"
        " Martin Jaggi",
        "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
        2024,
        booktitle=_NEURIPS,
    ),
    "2408.13359": Work(
        "Yikang Shen and Matthew Stallone and Mayank Mishra and Gaoyuan Zhang and Shawn Tan and Aditya Prasad and "
        "Adriana Meza Soria and David D. Cox and Rameswar Panda",
        "Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate Scheduler",
        2024,
    ),
    "2407.01800": Work(
        "Clare Lyle and Zeyu Zheng and Khimya Khetarpal and James Martens and Hado van Hasselt and Razvan Pascanu"
        " and Will Dabney",
        "Normalization and effective learning rates in reinforcement learning",
        2024,
        booktitle=_NEURIPS,
    ),
    "2408.11029": Work(
        "Howe Tissue and Venus Wang and Lu Wang", "Scaling Law with Learning Rate Annealing", 2025, booktitle=_NEURIPS
    ),
    "2410.05192": Work(
        "Kaiyue Wen and Zhiyuan Li and Jason Wang and David Hall and Percy Liang and Tengyu Ma",
        "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
        2025,
        booktitle=_ICLR,
    ),
    "2501.18965": Work(
        r"Fabian Schaipp and Alexander H{\"a}gele and Adrien Taylor and Umut Simsekli and Francis Bach",
        "The Surprising Agreement Between Convex Optimization Theory and Learning-Rate Scheduling for Large "
        "Model Training",
        2025,
        booktitle="International Conference on Machine Learning (ICML)",
    ),
    "2502.15938": Work(
        "Shane Bergsma and Nolan Dey and Gurpreet Gosal and Gavia Gray and Daria Soboleva and Joel Hestness",
        "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for LLMs",
        2025,
        booktitle=_ICLR,
    ),
    "2503.02844": Work(
        "Vaibhav Singh and Paul Janson and Paria Mehrbod and Adam Ibrahim and Irina Rish and Eugene Belilovsky and "
        r"Benjamin Th{\'e}rien",
        "Beyond Cosine Decay: On the Effectiveness of Infinite Learning Rate Schedule for Continual Pre-training",
        2025,
        booktitle="Conference on Lifelong Learning Agents (CoLLAs)",
    ),
    "2503.04715": Work(
        "Houyi Li and Wenzhen Zheng and Qiufeng Wang and Hanshan Zhang and Zili Wang and Shijie Xuyang and "
        "Yuantao Fan and Zhenyu Ding and Haoying Wang and Ning Ding and Shuigeng Zhou and Xiangyu Zhang and "
        "Daxin Jiang",
        "Predictable Scale: Part I, Step Law -- Optimal Hyperparameter Scaling Law in Large Language Model Pretraining",
        2025,
    ),
    "2503.12811": Work(
        "Kairong Luo and Haodong Wen and Shengding Hu and Zhenbo Sun and Zhiyuan Liu and Maosong Sun and "
        "Kaifeng Lyu and Wenguang Chen",
        "A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules",
        2025,
        booktitle=_ICLR,
    ),
    "2503.12167": Work(
        "Cheng Deng and Luoyang Sun and Jiwen Jiang and Yongcheng Zeng and Xinjian Wu and Wenxin Zhao and "
        "Qingfa Xiao and Jiachuan Wang and Haoyang Li and Lei Chen and Lionel M. Ni and Haifeng Zhang and Jun"
        " Wang",
        "PLM: Efficient Peripheral Language Models Hardware-Co-Designed for Ubiquitous Computing",
        2025,
    ),
    "2505.07796": Work(
        "Xingjin Wang and Howe Tissue and Lu Wang and Linjing Li and Daniel Dajun Zeng",
        "Learning Dynamics in Continual Pre-Training for Large Language Models",
        2025,
        booktitle="International Conference on Machine Learning (ICML)",
    ),
    "2505.24452": Work(
        "Anda Tang and Yiming Dong and Yutao Zeng and Xun Zhou and Zhouchen Lin",
        "Stepsize Anything: A Unified Learning Rate Schedule for Budgeted-Iteration Training",
        2025,
        booktitle=_NEURIPS,
    ),
    "2506.11077": Work(
        "Chongyu Fan and Yihua Zhang and Jinghan Jia and Alfred Hero and Sijia Liu",
        "CyclicReflex: Improving Reasoning Models via Cyclical Reflection Token Scheduling",
        2026,
        booktitle=_ICLR,
    ),
    "2510.12285": Work(
        "Zeyu Zhao and Ningtao Wang and Xing Fu and Yu Cheng", "Chinese ModernBERT with Whole-Word Masking", 2025
    ),
    "2512.14527": Work(
        "Shreyas Subramanian and Bala Krishnamoorthy and Pranav Murthy",
        "Dynamic Learning Rate Scheduling based on Loss Changes Leads to Faster Convergence",
        2025,
    ),
    "2602.06797": Work(
        "Binghui Li and Zilin Wang and Fengling Chen and Shiyang Zhao and Ruiheng Zheng and Lei Wu",
        "Optimal Learning-Rate Schedules under Functional Scaling Laws: Power Decay and Warmup-Stable-Decay",
        2026,
    ),
}
